// Servers that announce their end by NOT_SERVING while new connections already lead to others.

import assert from "node:assert/strict";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { testWithBackends } from "../lab/backends/libraries/library_backends.ts";
import { Front, wayTo } from "../lab/backends/peers/front.ts";

const REASON = ["--reply-reason", "true"];

testWithBackends("NOT_SERVING before a server's end costs its address no down", async (start) => {
  await using first = await start();
  await using second = await start();
  await using front = new Front(wayTo(first.port));
  await withAgent({ flags: REASON }, async (agent) => {
    const line = `127.0.0.1 ${front.port} no-ssl backend.test\n`;
    for (let check = 0; check < 3; check++) assert.equal(await agent.ask(line), "up\n");
    await using _wayToFirst = front.replace(wayTo(second.port));
    await first.setStatus("", "NOT_SERVING");
    for (let check = 0; check < 3; check++) assert.equal(await agent.ask(line), "up\n");
    await first.terminate();
    for (let check = 0; check < 3; check++) assert.equal(await agent.ask(line), "up\n");
    assert.equal((await second.report()).connections, 1);
  });
});

testWithBackends(
  "NOT_SERVING is down at once, after one more call on a new connection",
  async (start) => {
    await using backend = await start();
    await withAgent({ flags: [...REASON, "--fall", "3"] }, async (agent) => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      await backend.setStatus("", "NOT_SERVING");
      for (let check = 0; check < 10; check++) {
        assert.equal(await agent.ask(backend.line()), "down #NOT_SERVING\n");
      }
      assert.equal((await backend.report()).connections, 2);
      await backend.setStatus("", "SERVING");
      for (let check = 0; check < 3; check++) {
        assert.equal(await agent.ask(backend.line()), "up\n");
      }
      assert.equal((await backend.report()).connections, 2);
    });
  },
);

Deno.test("a server that says NOT_SERVING and takes no new connection is NOT_SERVING", async () => {
  await using backend = await startHealthBackend();
  await using front = new Front(wayTo(backend.port));
  await withAgent({ flags: [...REASON, "--fall", "3"] }, async (agent) => {
    const line = `127.0.0.1 ${front.port} no-ssl backend.test\n`;
    assert.equal(await agent.ask(line), "up\n");
    await using _wayToBackend = front.replace(wayTo(1)); // nobody listens there
    await backend.setStatus("", "NOT_SERVING");
    assert.equal(await agent.ask(line), "down #NOT_SERVING\n");
  });
});
