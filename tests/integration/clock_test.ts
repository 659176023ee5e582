import assert from "node:assert/strict";
import { withAgent } from "../lab/agent/with_agent.ts";
import { refusing } from "../lab/backends/peers/tcp_peers.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { ROOT } from "../lab/testing/repository.ts";

const HOUR_MS = 60 * 60 * 1000;
const DOWN = 'haproxy_grpc_agent_backends{state="down"}';

/** As far as it is looked at here. */
interface Status {
  now: string;
  started: string;
  backends: { backend: string; since: string; last_check: { at: string } }[];
}

Deno.test("where the clock is set back, backends are forgotten after ten minutes all the same, and dates are told by their age", async () => {
  await using peer = refusing();
  const preload = `${ROOT}tests/lab/agent/preload/set_clock_back.ts`;
  await withAgent({ preload }, async (agent) => {
    const status = async (): Promise<Status> => JSON.parse((await agent.get("/api/status")).body);
    const lineTo = (name: string) => `127.0.0.1 ${peer.port} no-ssl ${name}\n`;
    assert.equal(await agent.ask(lineTo("before.test")), "down\n");
    assert.equal((await agent.metrics()).get(DOWN), 1);
    const before = await status();
    agent.signal("SIGUSR2");
    const after = await eventually("the clock to be set", async () => {
      const now = await status();
      return Date.parse(now.now) < Date.parse(before.now) ? now : undefined;
    });
    assert.deepEqual(after.backends, []);
    assert.equal((await agent.metrics()).get(DOWN), 0);
    const upMs = Date.parse(after.now) - Date.parse(after.started);
    assert.ok(upMs > 11 * 60_000 && upMs < HOUR_MS, `Up for ${upMs} ms`);
    assert.equal(await agent.ask(lineTo("after.test")), "down\n");
    // The answer of a moment ago is given again.
    const { now, backend } = await eventually("the backend to be shown", async () => {
      const { now, backends: [backend] } = await status();
      return backend && { now, backend };
    });
    for (const date of [backend.since, backend.last_check.at]) {
      const ageMs = Date.parse(now) - Date.parse(date);
      assert.ok(ageMs >= 0 && ageMs < 60_000, `${date}, ${now}`);
    }
  });
});
