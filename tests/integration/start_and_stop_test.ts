import assert from "node:assert/strict";
import { type AgentProcess, type LogEntry, startAgent } from "../lab/agent.ts";
import { eventually, within } from "../lab/eventually.ts";
import { freePort } from "../lab/free_port.ts";
import { type HealthBackend, startHealthBackend } from "../lab/health_backend.ts";

/** shutdown_timeout_ms by default. */
const SHUTDOWN_MS = 2500;

/** Time limits beyond that of the shutdown. */
const PATIENT = [
  ...["--grpc-connect-timeout", "20000"],
  ...["--grpc-rpc-timeout", "20000"],
  ...["--check-timeout", "20000"],
];

/** Services of their own, so that no two checks share an RPC. */
const SERVICES = Array.from({ length: 5 }, (_, index) => `service.N${index}`);

async function startSlowBackend(delayMs: number): Promise<HealthBackend> {
  const services = Object.fromEntries(SERVICES.map((name) => [name, "SERVING" as const]));
  return await startHealthBackend({ services, delayMs });
}

const isOfShutdown = ({ level, message }: LogEntry) =>
  level === "info" && /stopping|shut/i.test(message);

/** Asks for every service at once; resolves when all checks have reached the backend. */
async function beginChecks(agent: AgentProcess, backend: HealthBackend) {
  const clients = await Promise.all(SERVICES.map(() => agent.connect()));
  await Promise.all(
    clients.map((client, index) => client.write(backend.line({ service: SERVICES[index] ?? "" }))),
  );
  await eventually(
    "the checks to reach the backend",
    async () => (await backend.report()).calls === SERVICES.length,
  );
  return clients;
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} lets checks in flight be answered, then the agent ends with 0`, async () => {
    await using backend = await startSlowBackend(900);
    await using agent = await startAgent();
    const clients = await beginChecks(agent, backend);
    const start = performance.now();
    agent.signal(signal);
    await agent.waitForLog("of the shutdown", isOfShutdown);
    assert.equal((await agent.get("/readyz")).status, 503, "/readyz during the shutdown");
    await assert.rejects(agent.connect(), Deno.errors.ConnectionRefused);
    for (const client of clients) assert.equal(await client.readToEnd(), "up\n");
    const { code } = await within("the agent to end", SHUTDOWN_MS, agent.exited);
    assert.equal(code, 0);
    assert.ok(performance.now() - start < SHUTDOWN_MS + 500);
    assert.deepEqual(agent.faults(), []);
    for (const client of clients) client.close();
  });

  Deno.test(`${signal} closes idle and half-sent connections without a byte`, async () => {
    await using agent = await startAgent();
    using idle = await agent.connect();
    using halfSent = await agent.connect();
    await halfSent.write("127.0.0.1 50051 no-");
    await eventually("both connections to be accepted", async () => {
      return (await agent.metrics()).get("haproxy_connections_active") === 2;
    });
    agent.signal(signal);
    assert.equal(await idle.readToEnd(), "");
    assert.equal(await halfSent.readToEnd(), "");
    const { code } = await within("the agent to end", SHUTDOWN_MS, agent.exited);
    assert.equal(code, 0);
    assert.deepEqual(agent.faults(), []);
  });
}

Deno.test("a check that outlives the shutdown is not answered down", async () => {
  await using backend = await startSlowBackend(0);
  await using agent = await startAgent({
    flags: PATIENT,
  });
  backend.freeze();
  using client = await agent.connect();
  await client.write(backend.line());
  await eventually("the check to begin", async () => {
    return (await agent.metrics()).get("grpc_channels_active") === 1;
  });
  agent.signal("SIGTERM");
  assert.equal(await client.readToEnd(), "");
  const { code } = await within("the agent to end", SHUTDOWN_MS + 1000, agent.exited);
  assert.equal(code, 0);
  assert.deepEqual(agent.faults(), []);
});

Deno.test("a second signal ends the agent at once", async () => {
  await using backend = await startSlowBackend(0);
  await using agent = await startAgent({
    flags: PATIENT,
  });
  backend.freeze();
  using client = await agent.connect();
  await client.write(backend.line());
  await eventually("the check to begin", async () => {
    return (await agent.metrics()).get("grpc_channels_active") === 1;
  });
  agent.signal("SIGTERM");
  await agent.waitForLog("of the shutdown", isOfShutdown);
  agent.signal("SIGTERM");
  // The first signal alone would leave it 2.5 s.
  await within("the agent to end", 1000, agent.exited);
  assert.equal(await client.readToEnd().catch(() => ""), "");
});

Deno.test("an agent port that is taken ends the agent with 1 and one line that names it", async () => {
  const port = freePort();
  using _taken = Deno.listen({ hostname: "127.0.0.1", port });
  await using agent = await startAgent({ port, until: "nothing" });
  const { code } = await within("the agent to end", 10_000, agent.exited);
  assert.equal(code, 1);
  const naming = agent.stderr.filter((line) => line.includes(`127.0.0.1:${port}`));
  assert.equal(naming.length, 1, agent.stderr.join("\n"));
  assert.match(naming[0] ?? "", /in use/i);
  assert.doesNotMatch(agent.stderr.join("\n"), /\bat (file:|ext:|async )|uncaught/i);
});

Deno.test("a metrics port that is taken is told as an error, and checks go on", async () => {
  await using backend = await startHealthBackend();
  const metricsPort = freePort();
  using _taken = Deno.listen({ hostname: "127.0.0.1", port: metricsPort });
  await using agent = await startAgent({ metricsPort, until: "port" });
  const entry = await agent.waitForLog("of the metrics port", ({ level }) => level === "error");
  assert.equal(entry.component, "metrics");
  assert.match(JSON.stringify(entry), new RegExp(`127\\.0\\.0\\.1:${metricsPort}\\b.*in use`));
  assert.equal(await agent.ask(backend.line()), "up\n");
  assert.equal((await agent.stop()).code, 0);
});

Deno.test("an agent that is started again on its port serves at once", async () => {
  await using backend = await startHealthBackend();
  const ports = { port: freePort(), metricsPort: freePort() };
  for (let round = 0; round < 3; round++) {
    await using agent = await startAgent(ports);
    assert.equal(await agent.ask(backend.line()), "up\n");
    assert.equal((await agent.stop()).code, 0);
  }
});
