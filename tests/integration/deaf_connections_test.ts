// Kept connections that go silent without FIN or reset, as when a firewall or NAT has forgotten them.

import assert from "node:assert/strict";
import type { PeerServer } from "../lab/peer_server.ts";
import { healthAnswer, http2Peer } from "../lab/http2_peer.ts";
import { startHealthBackend } from "../lab/health_backend.ts";
import { withAgent } from "../lab/with_agent.ts";

/** A healthy server whose connections answer so many RPCs and then no more. */
function goingDeaf(answers: number): PeerServer {
  return http2Peer({
    answer: async ({ streamId, nth, send }) => {
      if (nth <= answers) await send(healthAnswer(streamId));
    },
  });
}

for (const option of ["", " timeout=400"]) {
  Deno.test(`a kept connection that has gone deaf costs no down${option}`, async () => {
    await using peer = goingDeaf(2);
    await withAgent({}, async (agent) => {
      const line = `127.0.0.1 ${peer.port} no-ssl backend.test${option}\n`;
      for (let check = 0; check < 5; check++) {
        const { reply, ms } = await agent.askTimed(line);
        assert.equal(reply, "up\n", `Check ${check}`);
        assert.ok(ms < 2000, `Check ${check} took ${ms} ms`);
      }
    });
  });
}

Deno.test("a backend that is slow on every connection is up, and keeps one connection at a time", async () => {
  await using backend = await startHealthBackend({ delayMs: 1350 });
  await withAgent({}, async (agent) => {
    const before = agent.fds();
    for (let check = 0; check < 4; check++) assert.equal(await agent.ask(backend.line()), "up\n");
    assert.ok(agent.fds() <= before + 3, `${agent.fds()} descriptors, ${before} before`);
  });
});
