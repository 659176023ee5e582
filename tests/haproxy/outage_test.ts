import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { AGENT_INTER_MS, grpcBackend, server } from "../lab/haproxy/configuration.ts";
import { testWithEachHaproxy } from "../lab/haproxy/test_with_haproxy.ts";
import { freePort } from "../lab/machine/free_port.ts";

testWithEachHaproxy("a backend that nobody serves is DOWN", async (startHaproxy) => {
  const port = freePort();
  await using agent = await startAgent();
  await using haproxy = await startHaproxy(
    grpcBackend(agent.port, server("gone", port, `127.0.0.1 ${port} no-ssl backend.test\n`)),
  );
  await haproxy.waitFor("grpc", "gone", { status: "DOWN (agent)", agentStatus: "L7STS" });
  assert.deepEqual(agent.faults(), []);
});

testWithEachHaproxy("a backend that is killed and restarted is DOWN meanwhile", async (start) => {
  await using backend = await startHealthBackend();
  await using agent = await startAgent();
  await using haproxy = await start(
    grpcBackend(agent.port, server("one", backend.port, backend.line())),
  );
  await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
  for (let round = 1; round <= 2; round++) {
    await backend.kill();
    await haproxy.waitFor("grpc", "one", { up: false, agentStatus: "L7STS" });
    await backend.start();
    await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
  }
  assert.deepEqual(agent.faults(), []);
});

testWithEachHaproxy(
  "a frozen backend is DOWN, since the agent answers before HAProxy's patience ends",
  async (startHaproxy) => {
    await using backend = await startHealthBackend();
    await using agent = await startAgent();
    await using haproxy = await startHaproxy(
      grpcBackend(agent.port, server("one", backend.port, backend.line())),
    );
    await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
    await backend.freeze();
    await haproxy.waitFor("grpc", "one", { up: false, agentStatus: "L7STS" });
    await haproxy.stays("grpc", "one", { up: false, agentStatus: "L7STS" }, 3000);
    await backend.thaw();
    await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
    assert.deepEqual(agent.faults(), []);
  },
);

testWithEachHaproxy(
  "without the agent each server stays as it was, and follows it when it is back",
  async (startHaproxy) => {
    await using good = await startHealthBackend();
    await using bad = await startHealthBackend({ services: { "": "NOT_SERVING" } });
    const agent = await startAgent();
    await using _agent = agent;
    await using haproxy = await startHaproxy(grpcBackend(
      agent.port,
      server("good", good.port, good.line()),
      server("bad", bad.port, bad.line()),
    ));
    await haproxy.waitFor("grpc", "good", { up: true, agentStatus: "L7OK" });
    await haproxy.waitFor("grpc", "bad", { up: false, agentStatus: "L7STS" });

    await agent.stop();
    await haproxy.waitFor("grpc", "good", { agentStatus: "L4CON" });
    await haproxy.waitFor("grpc", "bad", { agentStatus: "L4CON" });
    await good.setStatus("", "NOT_SERVING");
    await bad.setStatus("", "SERVING");
    await haproxy.stays("grpc", "good", { up: true, agentStatus: "L4CON" }, 3 * AGENT_INTER_MS);
    await haproxy.stays("grpc", "bad", { up: false, agentStatus: "L4CON" }, 3 * AGENT_INTER_MS);

    await using _again = await startAgent({ port: agent.port });
    await haproxy.waitFor("grpc", "good", { up: false, agentStatus: "L7STS" });
    await haproxy.waitFor("grpc", "bad", { up: true, agentStatus: "L7OK" });
  },
);

testWithEachHaproxy("an agent that is told to stop takes no server down", async (startHaproxy) => {
  await using backend = await startHealthBackend({ delayMs: 400 });
  await using agent = await startAgent();
  await using haproxy = await startHaproxy(
    grpcBackend(agent.port, server("one", backend.port, backend.line())),
  );
  await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
  // A check is under way most of the time now, since each takes longer than the pause after it.
  const { code } = await agent.stop();
  assert.equal(code, 0);
  await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L4CON" });
  assert.doesNotMatch(haproxy.log(), /Server grpc\/one is DOWN/);
});
