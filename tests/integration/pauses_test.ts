// The agent's own process does not run for a while: a paused machine, a core that others hold.

import assert from "node:assert/strict";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { eventually } from "../lab/testing/eventually.ts";

for (const connection of ["new", "kept"]) {
  Deno.test(`a pause of the agent that outlasts every deadline costs no down on a ${connection} connection`, async () => {
    await using backend = await startHealthBackend({ delayMs: 200 });
    await withAgent({}, async (agent) => {
      if (connection === "kept") assert.equal(await agent.ask(backend.line()), "up\n");
      const before = (await backend.report()).calls;
      const reply = agent.ask(backend.line(), 10_000);
      await eventually("the RPC to arrive", async () => (await backend.report()).calls > before);
      await agent.freeze();
      // Longer than check_timeout_ms: there is no event for a time that passes.
      await new Promise((resolve) => setTimeout(resolve, 2500));
      agent.signal("SIGCONT");
      assert.equal(await reply, "up\n");
    });
  });
}
