import assert from "node:assert/strict";
import { type AgentProcess, type LogEntry, startAgent } from "../lab/agent/agent_process.ts";
import { LONG_DEADLINES } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../lab/backends/libraries/health_backend.ts";
import type { LineClient } from "../lab/clients/line_client.ts";
import { DeafClient } from "../lab/clients/rude_clients.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { eventually, within } from "../lab/testing/eventually.ts";

/** shutdown_timeout_ms by default. */
const SHUTDOWN_MS = 2500;

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
}

/** Asks over a connection of its own every ten milliseconds, until the agent accepts no more. */
async function askUntilRefused(agent: AgentProcess, line: string): Promise<string[]> {
  const replies: Promise<string>[] = [];
  for (let accepts = true; accepts;) {
    const reply = askUnlessClosed(agent, line).catch((error) => {
      const { ConnectionRefused, ConnectionReset } = Deno.errors;
      // Reset while it connects: it waited to be accepted when the agent stopped listening.
      if (!(error instanceof ConnectionRefused || error instanceof ConnectionReset)) throw error;
      accepts = false;
      return "";
    });
    replies.push(reply);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return await Promise.all(replies);
}

/** Asks once. @returns the answer, or nothing when the agent closes a connection that it has not read from */
async function askUnlessClosed(agent: AgentProcess, line: string): Promise<string> {
  using client = await agent.connect();
  try {
    return await client.ask(line);
  } catch (error) {
    const { BrokenPipe, ConnectionReset } = Deno.errors;
    if (!(error instanceof ConnectionReset || error instanceof BrokenPipe)) throw error;
    return client.unread;
  }
}

/** Waits until the agent takes no more lines of a client that does not read. */
async function untilStuck(agent: AgentProcess): Promise<void> {
  let before = 0;
  await eventually("the agent to wait for its reader", async () => {
    const taken = (await agent.metrics()).get('check_errors_total{error_type="parse_error"}') ?? 0;
    const isStuck = taken > 0 && taken === before;
    before = taken;
    return isStuck;
  }, { everyMs: 200, timeoutMs: 30_000 });
}

Deno.test("under load a shutdown answers each check that has begun, and closes the rest without a byte", async () => {
  await using backend = await startSlowBackend(400);
  // The reason makes the answers long that nobody reads.
  const flags = [...LONG_DEADLINES, "--coalesce-checks", "false", "--reply-reason", "true"];
  await using agent = await startAgent({ flags });
  const [fresh = "", kept = "", queued = ""] = SERVICES;
  const calls = async (service: string) =>
    (await backend.report()).recent.filter((call) => call.service === service).length;
  await using _deaf = await DeafClient.open(agent.port, "nonsense\n");
  await untilStuck(agent);
  using clients = new DisposableStack();
  const idle = await Promise.all(Array.from({ length: 20 }, async () => {
    const client = clients.use(await agent.connect());
    assert.equal(await client.ask(backend.line({ service: kept })), "up\n");
    return client;
  }));
  const halfSent = clients.use(await agent.connect());
  await halfSent.write("127.0.0.1 50051 no-");
  const load = askUntilRefused(agent, backend.line({ service: fresh }));
  await eventually("the load", async () => await calls(fresh) > 50);
  const queue = clients.use(await agent.connect());
  await queue.write(backend.line({ service: queued }).repeat(1000));
  await eventually("the queue", async () => await calls(queued) > 0);

  agent.signal("SIGTERM");
  for (const client of [...idle, halfSent]) assert.equal(await client.readToEnd(), "");
  const replies = await load;
  const answers = replies.filter((reply) => reply !== "");
  assert.deepEqual(answers, Array(await calls(fresh)).fill("up\n"));
  const queueAnswers = await queue.readToEnd();
  assert.equal(queueAnswers, "up\n".repeat(await calls(queued)));
  // Only the one that does not read keeps it.
  assert.equal((await agent.get("/readyz")).status, 503);
  const { code } = await within("the agent to end", SHUTDOWN_MS + 1000, agent.exited);
  assert.equal(code, 0);
  assert.deepEqual(agent.faults(), []);
});

/** Freezes the backend and asks for it. */
async function beginEndlessCheck(agent: AgentProcess, backend: HealthBackend): Promise<LineClient> {
  await backend.freeze();
  const client = await agent.connect();
  await client.write(backend.line());
  await eventually("the check to begin", async () => {
    return (await agent.metrics()).get("grpc_channels_active") === 1;
  });
  return client;
}

Deno.test("a check that outlives the shutdown is not answered down", async () => {
  await using backend = await startSlowBackend(0);
  await using agent = await startAgent({ flags: [...LONG_DEADLINES] });
  using client = await beginEndlessCheck(agent, backend);
  agent.signal("SIGTERM");
  assert.equal(await client.readToEnd(), "");
  const { code } = await within("the agent to end", SHUTDOWN_MS + 1000, agent.exited);
  assert.equal(code, 0);
  assert.deepEqual(agent.faults(), []);
});

for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
  Deno.test(`a second ${signal} ends the agent at once with ${code}`, async () => {
    await using backend = await startSlowBackend(0);
    await using agent = await startAgent({ flags: [...LONG_DEADLINES] });
    using client = await beginEndlessCheck(agent, backend);
    agent.signal(signal);
    await agent.waitForLog("of the shutdown", isOfShutdown);
    agent.signal(signal);
    // The first signal alone would leave it 2.5 s.
    const status = await within("the agent to end", 1000, agent.exited);
    assert.deepEqual([status.code, status.signal], [code, null], "By itself, not killed");
    assert.equal(await client.readToEnd().catch(() => ""), "");
  });
}

for (const signal of ["SIGUSR1", "SIGUSR2", "SIGALRM"] as const) {
  Deno.test(`${signal} means nothing to the agent, which says so once`, async () => {
    await using backend = await startHealthBackend();
    await using agent = await startAgent();
    const isOfSignal = ({ level, message }: LogEntry) => {
      return level === "warn" && message.startsWith(`${signal} `);
    };
    agent.signal(signal);
    await agent.waitForLog("of the signal", isOfSignal);
    agent.signal(signal);
    await agent.reload();
    assert.equal(await agent.ask(backend.line()), "up\n");
    assert.equal(agent.logs.filter(isOfSignal).length, 1);
    assert.equal((await agent.stop()).code, 0);
  });
}

for (const signal of ["SIGXFSZ", "SIGXCPU"] as const) {
  Deno.test(`${signal}, as the kernel sends it at a limit, does not end the agent`, async () => {
    await using backend = await startHealthBackend();
    await withAgent({}, async (agent) => {
      agent.signal(signal);
      await agent.reload();
      assert.equal(await agent.ask(backend.line()), "up\n");
    });
  });
}

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
