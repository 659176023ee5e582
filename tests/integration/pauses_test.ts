// The agent's own process does not run for a while: a paused machine, a core that others hold.

import assert from "node:assert/strict";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { ScriptedServer } from "../lab/backends/peers/scripted_server.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
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

Deno.test("a pause of the agent that outlasts a check in the midst of connecting costs no down", async () => {
  await using authority = await CertificateAuthority.create();
  const tls = { ...await authority.issueServer("backend.test"), alpn: ["h2"] };
  await using backend = await ScriptedServer.start({
    tls,
    acceptDelayMs: 100,
    async answer(call) {
      await call.connection.pause(200);
      await call.serve();
    },
  });
  const flags = ["--tls-ca-file", authority.caFile, "--grpc-channel-cache", "false"];
  await withAgent({ flags }, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    await eventually("the connection to end", () => agent.socketsTo(backend.port) === 0);
    const reply = agent.ask(backend.line(), 10_000);
    await eventually("the agent to connect", () => agent.socketsTo(backend.port) === 1);
    await agent.freeze();
    // Frozen until check_timeout_ms (1800) has just passed; the call is still to be made then.
    await new Promise((resolve) => setTimeout(resolve, 2000));
    agent.signal("SIGCONT");
    assert.equal(await reply, "up\n");
  });
});
