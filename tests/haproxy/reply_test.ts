import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { grpcBackend, server } from "../lab/haproxy/configuration.ts";
import type { ServerRow } from "../lab/haproxy/haproxy.ts";
import { testWithEachHaproxy } from "../lab/haproxy/test_with_haproxy.ts";

testWithEachHaproxy("reply_reason shows in HAProxy's statistics and log", async (startHaproxy) => {
  await using backend = await startHealthBackend({ services: { "": "NOT_SERVING" } });
  await using agent = await startAgent({ flags: ["--reply-reason", "true"] });
  await using haproxy = await startHaproxy(
    grpcBackend(agent.port, server("one", backend.port, backend.line())),
  );
  const row = await haproxy.waitFor("grpc", "one", { up: false, agentStatus: "L7STS" });
  assert.equal(row.lastAgent, "via agent : down (NOT_SERVING)");
  assert.match(haproxy.log(), /Server grpc\/one is DOWN.*via agent : down \(NOT_SERVING\)/);

  await backend.kill();
  const isOther = ({ lastAgent }: ServerRow) => lastAgent !== row.lastAgent;
  const later = await haproxy.waitFor("grpc", "one", isOther);
  assert.equal(later.status, "DOWN (agent)");
  assert.match(later.lastAgent, /^via agent : down \(.+\)$/);
  await backend.start();
  await backend.setStatus("", "SERVING");
  await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
});

testWithEachHaproxy(
  "not_serving_reply drains a NOT_SERVING backend, and a good answer ends it",
  async (startHaproxy) => {
    await using backend = await startHealthBackend();
    await using agent = await startAgent({ flags: ["--not-serving-reply", "drain"] });
    await using haproxy = await startHaproxy(
      grpcBackend(agent.port, server("one", backend.port, backend.line())),
    );
    await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
    await backend.setStatus("", "NOT_SERVING");
    await haproxy.waitFor("grpc", "one", { status: "DRAIN (agent)" });
    await backend.kill();
    await haproxy.waitFor("grpc", "one", { status: "DOWN (agent)", agentStatus: "L7STS" });
    await backend.start();
    await backend.setStatus("", "SERVING");
    await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
  },
);

testWithEachHaproxy(
  "a certificate that has expired can be told from HAProxy's statistics alone",
  async (startHaproxy) => {
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issue("api.test", { names: ["api.test"], expired: true });
    await using backend = await startHealthBackend({ tls });
    await using agent = await startAgent({
      flags: ["--tls-ca-file", authority.caFile, "--reply-reason"],
    });
    const line = backend.line({ ssl: true, authority: "api.test" });
    await using haproxy = await startHaproxy(
      grpcBackend(agent.port, server("one", backend.port, line)),
    );
    const row = await haproxy.waitFor("grpc", "one", { up: false, agentStatus: "L7STS" });
    assert.match(row.lastAgent, /^via agent : down \(tls: .*expired.*\)$/i);
  },
);

testWithEachHaproxy(
  "a backend with fall=3 is down at its third failure, and says so before",
  async (startHaproxy) => {
    await using backend = await startHealthBackend();
    await using agent = await startAgent({ flags: ["--reply-reason"] });
    const line = `${backend.line().trimEnd()} fall=3\n`;
    await using haproxy = await startHaproxy(
      grpcBackend(agent.port, server("one", backend.port, line)),
    );
    await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
    await backend.kill();
    const failing = await haproxy.waitFor(
      "grpc",
      "one",
      ({ lastAgent }: ServerRow) => lastAgent.includes("of 3 failures"),
    );
    assert.match(failing.status, /^(UP|no check)/);
    await haproxy.waitFor("grpc", "one", { up: false, agentStatus: "L7STS" });
  },
);
