import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { LineClient } from "../lab/clients/line_client.ts";
import { eventually, within } from "../lab/testing/eventually.ts";

const LIMIT = 100;

/** An agent that may have 100 file descriptors. */
const SHORT = { wrapper: ["sh", "-c", `ulimit -n ${LIMIT}; exec "$@"`, "sh"] };

/** Connects without a word until the agent has no descriptor left, and then some. */
async function exhaust(agent: AgentProcess): Promise<LineClient[]> {
  const idle = await Promise.all(Array.from({ length: 300 }, () => agent.connect()));
  await agent.waitForLog(
    "of the lack",
    ({ message }) => message === "Cannot accept connections",
  );
  return idle;
}

function complaints(agent: AgentProcess): number {
  return agent.logs.filter(({ message }) => message === "Cannot accept connections").length;
}

Deno.test("300 connections where 100 descriptors are all there is: no hot loop, a line a second, and the agent recovers by itself", async () => {
  await using backend = await startHealthBackend();
  await withAgent(SHORT, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    const idle = await exhaust(agent);
    const scrape = agent.get("/readyz").catch(() => undefined); // it may be lost, the next must not
    const before = { cpu: agent.cpuMs(), complaints: complaints(agent) };
    await new Promise((resolve) => setTimeout(resolve, 3000)); // what is measured is a stretch of time
    const cpu = agent.cpuMs() - before.cpu;
    console.log(`CPU time in 3 s without a descriptor: ${cpu} ms`);
    assert.ok(cpu < 600, `${cpu} ms of CPU time in 3 s`);
    const told = complaints(agent) - before.complaints;
    assert.ok(told >= 2 && told <= 4, `${told} complaints in 3 s`);
    for (const client of idle) client.close();
    await eventually("the agent to answer again", async () => {
      return await agent.ask(backend.line()) === "up\n";
    });
    await within("the scrape to end", 5000, scrape);
    await eventually("the next scrape to be answered", async () => {
      return (await within("it", 1000, agent.get("/readyz")).catch(() => undefined))?.status ===
        200;
    });
    await eventually("the idle connections to be gone", async () => {
      return (await agent.metrics()).get("haproxy_connections_active") === 0;
    });
  });
});

Deno.test("HTTP answers again after a scrape alone has met the lack of a descriptor", async () => {
  await using backend = await startHealthBackend({ host: "0.0.0.0" });
  await withAgent(SHORT, async (agent) => {
    using keeper = await agent.connect();
    const scrapes: Promise<unknown>[] = [];
    const scrape = async () => {
      const scraped = agent.get("/readyz").then(({ status }) => status, () => undefined);
      scrapes.push(scraped);
      return await within("a scrape", 1000, scraped).catch(() => undefined);
    };
    let host = 1;
    do {
      // Each address has a connection of its own.
      for (; agent.openFiles().length < LIMIT; host++) {
        const line = `127.0.2.${host} ${backend.port} no-ssl a.test\n`;
        assert.equal(await keeper.ask(line), "up\n");
      }
    } while (await scrape() === 200);
    await backend.restart();
    await eventually("HTTP to answer again", async () => await scrape() === 200, {
      timeoutMs: 20_000,
    });
    await Promise.all(scrapes);
  });
});

Deno.test("a check that the agent has no descriptor for is not answered: a healthy backend must not go down", async (t) => {
  await using known = await startHealthBackend();
  await using unknown = await startHealthBackend();
  await withAgent(SHORT, async (agent) => {
    using keeper = await agent.connect();
    assert.equal(await keeper.ask(known.line()), "up\n");
    using other = await agent.connect();
    using named = await agent.connect();
    assert.equal(await other.ask("nonsense\n"), "down\n");
    assert.equal(await named.ask("nonsense\n"), "down\n");
    const idle = await exhaust(agent);

    await t.step("over a channel that is open, checks go on", async () => {
      assert.equal(await keeper.ask(known.line()), "up\n");
    });
    await t.step("to an address: earlier lines are answered, then the agent closes", async () => {
      await other.write(`nonsense\n${unknown.line()}nonsense\n`);
      assert.equal(await other.readToEnd(), "down\n");
    });
    const entry = await agent.waitForLog("of the check", (entry) => {
      return entry.error_type === "local";
    });
    assert.equal(entry.level, "error");
    assert.match(String(entry.error), /EMFILE/);
    assert.equal(entry.backend, unknown.address);

    // The closed connection has left a descriptor, which the next in the backlog takes.
    const before = complaints(agent);
    await eventually("the descriptor to be taken", () => complaints(agent) >= before + 2);
    await t.step("to a name, which getaddrinfo() then does not find", async () => {
      await named.write(unknown.line().replace("127.0.0.1", "localhost"));
      assert.equal(await named.readToEnd(), "");
    });

    for (const client of idle) client.close();
    await t.step("with descriptors again it is up", async () => {
      await eventually("the agent to answer again", async () => {
        return await agent.ask(unknown.line()) === "up\n";
      });
    });
    const metrics = await agent.metrics();
    assert.equal(metrics.get('check_errors_total{error_type="local"}'), 2);
    assert.equal(metrics.get('check_errors_total{error_type="backend_unreachable"}'), 0);
    assert.equal(metrics.get('check_errors_total{error_type="dns"}'), 0);
  });
});
