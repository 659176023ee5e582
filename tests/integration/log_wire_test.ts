import assert from "node:assert/strict";
import { connect } from "node:net";
import type { AgentProcess, LogEntry } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { headers } from "../lab/backends/http2/frames.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { ScriptedServer } from "../lab/backends/peers/scripted_server.ts";
import { resetAfter } from "../lab/clients/rude_clients.ts";
import { eventually } from "../lab/testing/eventually.ts";

const TRACE_ID = /^[0-9a-f]{32}$/;

/** Sends these lines at once over one connection, and reads as many answers. */
async function flood(agent: AgentProcess, line: string, count: number): Promise<void> {
  using client = await agent.connect();
  await client.write(line.repeat(count));
  for (let index = 0; index < count; index++) assert.equal(await client.readLine(), "down\n");
}

for (
  const { what, message, flags, line } of [
    { what: "invalid lines", message: "Invalid line", flags: [], line: "nonsense\n" },
    {
      what: "lines for targets that are not allowed",
      message: "Target denied",
      flags: ["--allow-backends", "10.9.9.9", "--log-checks", "none"],
      line: "127.0.0.1 1 no-ssl a\n",
    },
  ]
) {
  Deno.test(`of a flood of ${what} ten a second are logged, and the others counted`, async () => {
    await withAgent({ flags }, async (agent) => {
      await flood(agent, line, 500);
      const isOne = (entry: LogEntry) => entry.message === message;
      const isCount = (entry: LogEntry) => entry.warning === message;
      const countOf = () =>
        agent.logs.filter(isCount).reduce((sum, { count }) => sum + Number(count), 0);
      await eventually("all to be told", () => agent.logs.filter(isOne).length + countOf() === 500);
      assert.ok(agent.logs.filter(isOne).length <= 20, "The flood may span two seconds");
      for (const entry of agent.logs.filter(isOne)) {
        assert.equal(entry.level, "warn");
        assert.match(entry.trace_id ?? "", TRACE_ID);
      }
    });
  });
}

Deno.test("all entries of one request carry its trace id, those of another one another", async () => {
  await using backend = await startHealthBackend();
  await backend.kill();
  await withAgent({}, async (agent) => {
    for (const authority of ["one.test", "other.test"]) {
      assert.equal(await agent.ask(backend.line({ authority })), "down\n");
    }
    const entries = await eventually("two entries for each", () => {
      const entries = agent.logs.filter((entry) => entry.backend === backend.address);
      return entries.length === 4 ? entries : undefined;
    });
    const ids = Map.groupBy(entries, ({ authority }) => authority).values()
      .map((group) => new Set(group.map(({ trace_id }) => trace_id))).toArray();
    assert.deepEqual(ids.map(({ size }) => size), [1, 1]);
    assert.equal(new Set(entries.map(({ trace_id }) => trace_id)).size, 2);
    for (const { trace_id } of entries) assert.match(trace_id ?? "", TRACE_ID);
  });
});

Deno.test("a connection that is reset while its request is checked is told with a trace id", async () => {
  await using backend = await startHealthBackend({ delayMs: 1000 });
  await withAgent({}, async (agent) => {
    await resetAfter(
      agent.port,
      backend.line(),
      async () => (await backend.report()).calls === 1,
    );
    const entry = await agent.waitForLog("of the reset", ({ message }) => /given up/.test(message));
    assert.equal(entry.level, "warn");
    assert.match(entry.trace_id ?? "", TRACE_ID);
  });
});

Deno.test("a client that resets after its reply, as HAProxy does, is told at debug alone", async () => {
  await using backend = await startHealthBackend();
  await withAgent({ flags: ["--log-level", "debug"] }, async (agent) => {
    const socket = connect({ port: agent.port, host: "127.0.0.1" });
    socket.on("error", () => {});
    socket.write(backend.line());
    await new Promise((resolve) => socket.once("data", resolve));
    socket.resetAndDestroy();
    const entry = await agent.waitForLog(
      "of the reset",
      ({ message }) => message === "Connection reset by the peer",
    );
    assert.equal(entry.level, "debug");
    await agent.waitForLog("of the end", ({ message }) => message === "Connection closed");
    const loud = agent.logs.filter(({ level }) => level === "warn" || level === "error");
    assert.deepEqual(loud, []);
  });
});

Deno.test("what a backend says in its error is told as an entry, encoded", async () => {
  // Of the control characters HTTP/2 lets only such as these pass.
  const forged = "\u009b31m";
  await using backend = await ScriptedServer.start({
    answer: (call) =>
      call.send(
        headers(call.streamId, {
          ":status": "200",
          "content-type": "application/grpc",
          "grpc-status": "14",
          "grpc-message": `said ${forged}`,
        }, { endStream: true }),
      ),
  });
  await withAgent({}, async (agent) => {
    await agent.ask(backend.line());
    await agent.waitForLog("of the error", ({ error }) => String(error).includes("said "));
    assert.deepEqual(agent.otherLines, []);
    assert.ok(!agent.stderr.some((line) => line.includes("\u009b")));
  });
});
