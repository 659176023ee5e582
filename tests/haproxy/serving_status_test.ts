import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { grpcBackend, server } from "../lab/haproxy/configuration.ts";
import { testWithEachHaproxy } from "../lab/haproxy/test_with_haproxy.ts";

testWithEachHaproxy("a serving backend is UP by the agent's word", async (startHaproxy) => {
  await using backend = await startHealthBackend();
  await using agent = await startAgent();
  await using haproxy = await startHaproxy(
    grpcBackend(agent.port, server("one", backend.port, backend.line())),
  );
  const row = await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
  assert.equal(row.lastAgent, "via agent : up");
  assert.deepEqual(agent.faults(), []);
});

testWithEachHaproxy(
  "a backend is DOWN from the time it says NOT_SERVING until it says SERVING",
  async (startHaproxy) => {
    await using backend = await startHealthBackend({ services: { "": "NOT_SERVING" } });
    await using agent = await startAgent();
    await using haproxy = await startHaproxy(
      grpcBackend(agent.port, server("one", backend.port, backend.line())),
    );
    const row = await haproxy.waitFor("grpc", "one", { up: false, agentStatus: "L7STS" });
    assert.equal(row.status, "DOWN (agent)");
    assert.equal(row.lastAgent, "via agent : down");
    await backend.setStatus("", "SERVING");
    await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
    await backend.setStatus("", "NOT_SERVING");
    await haproxy.waitFor("grpc", "one", { up: false, agentStatus: "L7STS" });
    assert.deepEqual(agent.faults(), []);
  },
);

testWithEachHaproxy(
  "a NOT_SERVING backend is DOWN although it passes HAProxy's own check",
  async (startHaproxy) => {
    await using backend = await startHealthBackend();
    await using agent = await startAgent();
    await using haproxy = await startHaproxy(
      grpcBackend(agent.port, server("one", backend.port, backend.line(), "check inter 300ms")),
    );
    await haproxy.waitFor("grpc", "one", { status: "UP", agentStatus: "L7OK" });
    await backend.setStatus("", "NOT_SERVING");
    const row = await haproxy.waitFor("grpc", "one", { status: "DOWN (agent)" });
    assert.equal(row.agentStatus, "L7STS");
    assert.match(`${row.fields.check_status}`, /^(\* )?L4OK$/, "which may be under way again");
    await backend.setStatus("", "SERVING");
    await haproxy.waitFor("grpc", "one", { status: "UP", agentStatus: "L7OK" });
  },
);

testWithEachHaproxy("each server has the status of its own backend", async (startHaproxy) => {
  await using good = await startHealthBackend();
  await using bad = await startHealthBackend({ services: { "": "NOT_SERVING" } });
  await using agent = await startAgent();
  await using haproxy = await startHaproxy(grpcBackend(
    agent.port,
    server("good", good.port, good.line()),
    server("bad", bad.port, bad.line()),
  ));
  await haproxy.waitFor("grpc", "bad", { up: false, agentStatus: "L7STS" });
  await haproxy.waitFor("grpc", "good", { up: true, agentStatus: "L7OK" });

  await good.setStatus("", "NOT_SERVING");
  await bad.setStatus("", "SERVING");
  await haproxy.waitFor("grpc", "good", { up: false, agentStatus: "L7STS" });
  await haproxy.waitFor("grpc", "bad", { up: true, agentStatus: "L7OK" });
});
