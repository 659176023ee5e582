import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { DeafClient } from "../lab/clients/rude_clients.ts";
import { resetAfter } from "../lab/clients/rude_clients.ts";
import { eventually } from "../lab/testing/eventually.ts";

/** An agent with a backend that is up, and the request for it without its line end. */
async function withHealthy(test: (agent: AgentProcess, up: string) => Promise<void>) {
  await using backend = await startHealthBackend();
  await withAgent({}, (agent) => test(agent, backend.line().trimEnd()));
}

Deno.test("random bytes never harm the agent", async () => {
  await withHealthy(async (agent, up) => {
    const clients = Array.from({ length: 50 }, async () => {
      using client = await agent.connect();
      const bytes = crypto.getRandomValues(new Uint8Array(3000));
      await client.write(bytes).catch(ignoreReset);
      await client.endWriting().catch(ignoreReset);
      const answers = await client.readToEnd().catch(ignoreReset);
      assert.match(answers ?? "", /^(down\n)*$/);
    });
    await Promise.all(clients);
    assert.equal(await agent.ask(`${up}\n`), "up\n");
  });
});

Deno.test("clients that reset in the middle of a check or a line harm nobody", async () => {
  await using slow = await startHealthBackend({ delayMs: 300 });
  await withHealthy(async (agent, up) => {
    const descriptors = agent.fds();
    const calls = async () => (await slow.report()).calls;
    for (let round = 0; round < 10; round++) {
      const before = await calls();
      await resetAfter(agent.port, slow.line(), async () => await calls() > before);
      await resetAfter(agent.port, up.slice(0, 20), () => true);
      assert.equal(await agent.ask(`${up}\n`), "up\n");
    }
    assert.equal(await agent.ask(slow.line()), "up\n");
    await connectionsToEnd(agent);
    // A channel to each backend stays.
    await eventually("the descriptors to be closed", () => agent.fds() <= descriptors + 2);
  });
});

Deno.test("clients that reset before they are accepted delay nobody", async () => {
  await withHealthy(async (agent, up) => {
    // What comes while it stands still waits to be accepted, and is reset by then.
    await agent.freeze();
    try {
      await Promise.all(Array.from({ length: 50 }, () => resetAfter(agent.port, "", () => true)));
    } finally {
      agent.signal("SIGCONT");
    }
    const { reply, ms } = await agent.askTimed(`${up}\n`);
    assert.equal(reply, "up\n");
    assert.ok(ms < 2000, `The answer took ${Math.round(ms)} ms`);
    assert.equal((await agent.get("/readyz")).status, 200);
    assert.deepEqual(agent.logs.filter(({ level }) => level === "error"), []);
  });
});

async function connectionsToEnd(agent: AgentProcess): Promise<void> {
  await eventually("all connections to end", async () => {
    return (await agent.metrics()).get("haproxy_connections_active") === 0;
  });
}

function ignoreReset(error: unknown): undefined {
  const { BadResource, BrokenPipe, ConnectionReset, Interrupted, NotConnected } = Deno.errors;
  const isReset = [BadResource, BrokenPipe, ConnectionReset, Interrupted, NotConnected]
    .some((kind) => error instanceof kind);
  if (!isReset) throw error;
}

Deno.test("clients that ask without end and never read harm nobody", async () => {
  await withHealthy(async (agent, up) => {
    const before = agent.residentBytes();
    const end = performance.now() + 5000;
    await using floods = new AsyncDisposableStack();
    for (const nth of [1, 2, 3]) {
      floods.use(await DeafClient.open(agent.port, `nonsense ${nth}\n`));
    }
    for (let checks = 0; performance.now() < end; checks++) {
      assert.equal(await agent.ask(`${up}\n`), "up\n", `Check ${checks}`);
    }
    const grown = (agent.residentBytes() - before) / 1e6;
    // Garbage at full speed takes 140 MB; what is kept of each request would take more.
    assert.ok(grown < 300, `The agent has grown by ${Math.round(grown)} MB`);
    await floods.disposeAsync();
    await connectionsToEnd(agent);
  });
});

Deno.test("a line that is not ended within ten seconds closes its connection", async () => {
  await withHealthy(async (agent, up) => {
    using slow = await agent.connect();
    using idle = await agent.connect();
    await slow.write("127.0.0.1 ");
    const start = performance.now();
    assert.equal(await slow.readToEnd(20_000), "");
    assert.ok(performance.now() - start > 9000);
    assert.equal(await idle.ask(`${up}\n`), "up\n");
  });
});

Deno.test("a thousand idle connections leave room for checks", async () => {
  await withHealthy(async (agent, up) => {
    const idle = await Promise.all(Array.from({ length: 1000 }, () => agent.connect()));
    for (let check = 0; check < 10; check++) {
      assert.equal(await agent.ask(`${up}\n`), "up\n");
    }
    for (const client of idle) client.close();
    await connectionsToEnd(agent);
  });
});
