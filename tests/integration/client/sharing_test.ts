// Checks that share an RPC, and verdicts that answer again: what is shared is one observation, with the deadlines,
// rules and damping of each client kept apart.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { AgentProcess } from "../../lab/agent/agent_process.ts";
import { withAgent } from "../../lab/agent/with_agent.ts";
import { headers } from "../../lab/backends/http2/frames.ts";
import { ScriptedServer } from "../../lab/backends/peers/scripted_server.ts";
import type { ScriptedCall } from "../../lab/backends/peers/scripted_server.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";

/** Ends a call with UNAVAILABLE. */
function fail(call: ScriptedCall): Promise<void> {
  const fields = { ":status": "200", "content-type": "application/grpc", "grpc-status": "14" };
  return call.send(headers(call.streamId, fields, { endStream: true }));
}

function askTimes(agent: AgentProcess, line: string, times: number): Promise<string[]> {
  return Promise.all(Array.from({ length: times }, () => agent.ask(line)));
}

Deno.test(
  "with fall=2 four checks that share one failing RPC are one failure",
  async () => {
    let isWell = true;
    await using backend = await ScriptedServer.start({
      answer: async (call) => {
        await call.pause(200);
        await (isWell ? call.serve() : fail(call));
      },
    });
    await withAgent({}, async (agent) => {
      const line = backend.line({ option: "fall=2 rise=2" });
      for (let round = 0; round < 2; round++) {
        for (let check = 0; check < 2; check++) await agent.ask(line);
        assert.equal(await agent.ask(line), "up\n");
        isWell = false;
        assert.deepEqual(await askTimes(agent, line, 4), Array(4).fill("up\n"), "One failure");
        assert.deepEqual(await askTimes(agent, line, 4), Array(4).fill("down\n"), "Two of them");
        isWell = true;
        assert.deepEqual(await askTimes(agent, line, 4), Array(4).fill("down\n"), "One good one");
        assert.deepEqual(await askTimes(agent, line, 4), Array(4).fill("up\n"), "Two of them");
      }
    });
  },
);

Deno.test("a check joins no call that is older than the hedge delay", async () => {
  await using backend = await ScriptedServer.start({
    answer: async (call) => {
      if (call.nth !== 2) await call.serve(); // the second is never answered
    },
  });
  await withAgent({}, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    const stuck = agent.ask(backend.line());
    await eventually("the call that gets stuck", () => backend.calls.length === 2);
    await pause(600); // the hedge delay is 400 ms
    assert.equal(await agent.ask(backend.line()), "up\n");
    assert.ok(backend.calls.length > 2, "It has joined the call");
    await stuck;
  });
});

Deno.test("a client that timed out on a call does not join it again", async () => {
  await using backend = await ScriptedServer.start({
    answer: async (call) => {
      if (call.nth === 2) await call.pause(1000);
      await call.serve();
    },
  });
  await withAgent({}, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    const hasty = backend.line({ option: "timeout=150" });
    using client = await agent.connect();
    const patient = agent.ask(backend.line());
    assert.equal(await client.ask(hasty), "down\n", "They share the slow call");
    assert.equal(backend.calls.length, 2);
    assert.equal(await client.ask(hasty), "up\n", "It has a call of its own");
    assert.equal(await patient, "up\n");
  });
});

/** Long enough that the checks of a test lie within it also on a busy machine. */
const AGE_MS = 3000;
const AGE = ["--verdict-max-age", `${AGE_MS}`];

/** How many RPCs the checks may cost that began so many milliseconds ago. */
function rpcsWithin(ms: number): number {
  return 1 + Math.floor(ms / AGE_MS);
}

Deno.test(
  "any number of clients costs one RPC per target and verdict_max_age_ms, and then the new truth holds",
  async () => {
    let status = 1;
    await using backend = await ScriptedServer.start({
      answer: (call) => call.serve(status),
    });
    await withAgent({ flags: AGE }, async (agent) => {
      const start = performance.now();
      for (let round = 0; round < 10; round++) {
        const replies = await askTimes(agent, backend.line(), 5);
        assert.deepEqual(new Set(replies), new Set(["up\n"]));
      }
      const calls = backend.calls.length;
      const allowed = rpcsWithin(performance.now() - start);
      assert.ok(calls <= allowed, `${calls} RPCs, allowed are ${allowed}`);
      // Others are asked for themselves.
      assert.equal(await agent.ask(backend.line({ option: "service=a.B" })), "up\n");
      assert.equal(await agent.ask(backend.line({ authority: "backend.test:443" })), "up\n");
      assert.equal(backend.calls.length, calls + 2);
      status = 2;
      await pause(AGE_MS);
      assert.deepEqual(await askTimes(agent, backend.line(), 5), Array(5).fill("down\n"));
    });
  },
);

Deno.test("a failure that is kept for verdict_max_age_ms is one failure for fall", async () => {
  let isWell = true;
  await using backend = await ScriptedServer.start({
    answer: (call) => isWell ? call.serve() : fail(call),
  });
  await withAgent({ flags: ["--verdict-max-age", "1500"] }, async (agent) => {
    const line = backend.line({ option: "fall=2" });
    assert.equal(await agent.ask(line), "up\n");
    isWell = false;
    await eventually("the failure to be seen", async () => {
      assert.equal(await agent.ask(line), "up\n", "Less than two failures");
      return backend.calls.length > 1;
    });
    const failed = backend.calls.length;
    for (let check = 0; check < 5; check++) {
      const reply = await agent.ask(line);
      if (backend.calls.length > failed) break;
      assert.equal(reply, "up\n", "The same failure again");
    }
    await eventually("the second failure", async () => await agent.ask(line) === "down\n");
    assert.equal(backend.calls.length, failed + 1);
  });
});

Deno.test("a client's own timeout is not kept for others", async () => {
  await using backend = await ScriptedServer.start({
    answer: async (call) => {
      await call.pause(300);
      await call.serve();
    },
  });
  await withAgent({ flags: AGE }, async (agent) => {
    assert.equal(await agent.ask(backend.line({ option: "timeout=100" })), "down\n");
    assert.equal(await agent.ask(backend.line()), "up\n");
    assert.equal(await agent.ask(backend.line({ option: "timeout=100" })), "up\n", "It is kept");
  });
});

Deno.test("a kept verdict answers nobody any more when a reload forbids the target or the client", async () => {
  await using backend = await ScriptedServer.start();
  await using directory = await TempDirectory.create();
  const age = `verdict_max_age_ms = 60000\n`;
  const config = await directory.write("agent.toml", age);
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    assert.equal(await agent.ask(backend.line()), "up\n");
    assert.equal(backend.calls.length, 1);
    await directory.write("agent.toml", `${age}allow_backends = ["10.0.0.0/8"]\n`);
    await agent.reload();
    assert.equal(await agent.ask(backend.line()), "down\n");
    await directory.write("agent.toml", `${age}allow_clients = ["10.0.0.0/8"]\n`);
    await agent.reload();
    assert.equal(await agent.ask(backend.line()), "");
    assert.equal(backend.calls.length, 1);
  });
});
