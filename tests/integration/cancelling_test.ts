// A check whose client is gone: nobody waits for its RPC any more, unless another shares it.

import assert from "node:assert/strict";
import { LONG_DEADLINES } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../lab/backends/libraries/health_backend.ts";
import { testWithBackends } from "../lab/backends/libraries/library_backends.ts";
import { resetAfter } from "../lab/clients/rude_clients.ts";
import { eventually } from "../lab/testing/eventually.ts";

const flags = [...LONG_DEADLINES];

async function isAsked(backend: HealthBackend): Promise<boolean> {
  return (await backend.report()).calls > 0;
}

testWithBackends(
  "a client that resets during its check has the RPC cancelled, and the connection is kept",
  async (start) => {
    // Far longer than the test waits for it to be cancelled.
    await using backend = await start({ delayMs: 15_000 });
    await withAgent({ flags }, async (agent) => {
      await resetAfter(agent.port, backend.line(), () => isAsked(backend));
      await eventually("the RPC to be cancelled", async () => {
        return (await backend.report()).cancelled === 1;
      });
      await backend.setDelay(0);
      assert.equal(await agent.ask(backend.line()), "up\n");
      const { calls, cancelled, connections } = await backend.report();
      assert.deepEqual({ calls, cancelled, connections }, {
        calls: 2,
        cancelled: 1,
        connections: 1,
      });
    });
  },
);

for (const who of ["first", "second"]) {
  Deno.test(`an RPC that two clients share goes on when the ${who} of them resets`, async () => {
    await using backend = await startHealthBackend({ delayMs: 1500 });
    await withAgent({ flags }, async (agent) => {
      const stay = () => agent.ask(backend.line());
      const reset = () =>
        resetAfter(agent.port, backend.line(), async () => {
          const metrics = await agent.metrics();
          return metrics.get("haproxy_grpc_agent_checks_coalesced_total") === 1;
        });
      const [begin, join] = who === "first" ? [reset, stay] : [stay, reset];
      const begun = begin();
      await eventually("the RPC to arrive", () => isAsked(backend));
      const [reply] = (await Promise.all([begun, join()])).filter((end) => end !== undefined);
      assert.equal(reply, "up\n");
      // Else the reset would have come too late to mean anything.
      await agent.waitForLog("of the reset", ({ message }) => /given up/.test(message));
      const { calls, cancelled } = await backend.report();
      assert.deepEqual({ calls, cancelled }, { calls: 1, cancelled: 0 });
    });
  });
}

Deno.test("the check of a client that only ends its stream after its line goes on", async () => {
  await using backend = await startHealthBackend({ delayMs: 400 });
  await withAgent({}, async (agent) => {
    using client = await agent.connect();
    await client.write(backend.line());
    await client.endWriting();
    assert.equal(await client.readToEnd(), "up\n");
    const { calls, cancelled } = await backend.report();
    assert.deepEqual({ calls, cancelled }, { calls: 1, cancelled: 0 });
  });
});
