import assert from "node:assert/strict";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { refusing } from "../lab/backends/peers/tcp_peers.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { ROOT } from "../lab/testing/repository.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

const SET_CLOCK_BACK = `${ROOT}tests/lab/agent/preload/set_clock_back.ts`;
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
  await withAgent({ preload: SET_CLOCK_BACK }, async (agent) => {
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

for (const client of ["native", "grpc-js"]) {
  Deno.test(`a CA that seemed to have expired is trusted once the clock is set right, with the client ${client}`, async () => {
    await using ending = await CertificateAuthority.create("Ended an hour ago", -1 / 24);
    await using lasting = await CertificateAuthority.create("Lasting");
    await using backend = await startHealthBackend({ tls: await ending.issueServer() });
    await using directory = await TempDirectory.create();
    const both = await directory.write(
      "both.pem",
      await Deno.readTextFile(ending.caFile) + await Deno.readTextFile(lasting.caFile),
    );
    const flags = ["--tls-ca-file", both, "--grpc-client", client];
    await withAgent({ flags, preload: SET_CLOCK_BACK }, async (agent) => {
      const now = async () => Date.parse(JSON.parse((await agent.get("/api/status")).body).now);
      const before = await now();
      assert.equal(await agent.ask(backend.line()), "down\n");
      agent.signal("SIGUSR2");
      await eventually("the clock to be set", async () => await now() < before);
      assert.equal(await agent.ask(backend.line()), "up\n");
    });
  });
}
