import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { grpcBackend, server } from "../lab/haproxy/configuration.ts";
import { testWithEachHaproxy } from "../lab/haproxy/test_with_haproxy.ts";
import { eventually } from "../lab/testing/eventually.ts";

testWithEachHaproxy(
  "the resets with which it ends each connection are not warned of and leave none open",
  async (start) => {
    await using backend = await startHealthBackend();
    await using agent = await startAgent();
    await using haproxy = await start(grpcBackend(
      agent.port,
      ...Array.from({ length: 20 }, (_, n) => server(`s${n}`, backend.port, backend.line())),
    ));
    await haproxy.waitFor("grpc", "s19", { up: true, agentStatus: "L7OK" });
    const checks = 'check_requests_total{result="up"}';
    await eventually("100 checks", async () => ((await agent.metrics()).get(checks) ?? 0) > 100);
    await eventually(
      "a moment without connections",
      async () => (await agent.metrics()).get("haproxy_connections_active") === 0,
    );
    assert.deepEqual(agent.logs.filter(({ level }) => level === "warn" || level === "error"), []);
  },
);
