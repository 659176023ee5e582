import assert from "node:assert/strict";
import { startAgent } from "../../lab/agent/agent_process.ts";
import { h2specProblem, runH2spec } from "../../lab/backends/h2spec/h2spec.ts";
import { ROOT } from "../../lab/testing/repository.ts";
import { testThatNeeds } from "../../lab/testing/test_that_needs.ts";

/**
 * Cases about a stream that is still open. h2spec's answers are no answers to gRPC calls: the client has
 * judged the call by their headers and cancelled the stream, and discards what comes on it afterwards, as
 * RFC 9113, section 5.1 (closed), has it. The session's own tests cover them.
 */
const EXCEPTED = [
  "5.1 5: closed: Sends a DATA frame after sending RST_STREAM frame",
  "5.1 6: closed: Sends a HEADERS frame after sending RST_STREAM frame",
  "6.9 2: Sends a WINDOW_UPDATE frame with a flow control window increment of 0 on a stream",
  "6.9.1 2: Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 " +
  "on a stream",
];

/** So short that the silent servers of h2spec cost little; it gives the client three seconds for a case. */
const FLAGS = ["--check-timeout", "800", "--log-level", "error"];

const PROGRAM = `${ROOT}tests/lab/backends/h2spec/h2spec_client.ts`;

testThatNeeds(
  { missing: await h2specProblem() },
  "the client does what h2spec demands of HTTP/2 clients",
  async () => {
    await using agent = await startAgent({ flags: FLAGS });
    const command = [Deno.execPath(), "run", "--quiet", "--allow-net", PROGRAM, `${agent.port}`];
    const { passed, failed } = await runH2spec(command.join(" "));
    assert.deepEqual([...failed.keys()], EXCEPTED, [...failed].join("\n"));
    assert.equal(passed, 57 - EXCEPTED.length);
  },
);
