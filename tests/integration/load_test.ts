import assert from "node:assert/strict";
import { within } from "../../src/deadline.ts";
import { type AgentProcess, SHORT_DEADLINES } from "../lab/agent/agent_process.ts";
import { counting, withAgent } from "../lab/agent/with_agent.ts";
import { type HealthStatus, startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { eventually } from "../lab/testing/eventually.ts";

/** HAProxy drops what comes later: its default agent-inter. */
const CONTRACT_MS = 2000;

/** This process asks a thousand lines at once on the same cores, and reads the answers. */
const OWN_WORK_MS = 2000;

Deno.test("a thousand checks at once are answered correctly and in time", async () => {
  const names = Array.from({ length: 100 }, (_, index) => `service.N${index}`);
  const services = Object.fromEntries(
    names.map((name, index): [string, HealthStatus] => [
      name,
      index % 3 === 0 ? "NOT_SERVING" : "SERVING",
    ]),
  );
  await using one = await startHealthBackend({ services });
  await using other = await startHealthBackend({ services });
  await withAgent({}, async (agent) => {
    const descriptors = agent.fds();
    const checks = Array.from({ length: 1000 }, (_, index) => {
      const service = names[index % names.length] ?? "";
      const backend = index % 2 === 0 ? one : other;
      const expected = services[service] === "SERVING" ? "up\n" : "down\n";
      return { line: backend.line({ service }), expected };
    });
    const up = checks.filter(({ expected }) => expected === "up\n").length;
    const counted = await counting(agent, checks.length, async () => {
      const answers = await askAllAtOnce(agent, checks.map(({ line }) => line));
      for (const [index, { reply, ms }] of answers.entries()) {
        assert.equal(reply, checks[index]?.expected, `Check ${index}`);
        assert.ok(ms < CONTRACT_MS + OWN_WORK_MS, `Check ${index} took ${Math.round(ms)} ms`);
      }
    });
    assert.deepEqual(counted, { up, down: checks.length - up });
    await eventually("the connections to be closed", () => agent.fds() <= descriptors + 2);
  });
});

/**
 * Asks over a connection for each line. The connections are made before, so that the time of an answer
 * is not that of this process making a thousand of them.
 */
async function askAllAtOnce(agent: AgentProcess, lines: string[]) {
  const clients = await Promise.all(lines.map(() => agent.connect()));
  try {
    return await Promise.all(clients.map(async (client, index) => {
      const start = performance.now();
      const reply = await client.ask(lines[index] ?? "");
      return { reply, ms: performance.now() - start };
    }));
  } finally {
    for (const client of clients) client.close();
  }
}

Deno.test("many checks of a dead backend at once are down in time and do not delay a healthy one", async () => {
  await using dead = await startHealthBackend();
  await using healthy = await startHealthBackend();
  await dead.freeze();
  await withAgent({ flags: [...SHORT_DEADLINES] }, async (agent) => {
    const lost = Array.from({ length: 200 }, (_, index) => {
      return agent.askTimed(dead.line({ authority: `host-${index % 50}.test` }));
    });
    for (let check = 0; check < 20; check++) {
      const { reply, ms } = await agent.askTimed(healthy.line());
      assert.equal(reply, "up\n");
      assert.ok(ms < CONTRACT_MS, `The healthy backend's check took ${Math.round(ms)} ms`);
    }
    for (const { reply, ms } of await Promise.all(lost)) {
      assert.equal(reply, "down\n");
      assert.ok(ms < CONTRACT_MS, `The dead backend's check took ${Math.round(ms)} ms`);
    }
  });
});

/** Fewer where the machine lets fewer wait. */
const WAITING = Math.min(2000, Number(Deno.readTextFileSync("/proc/sys/net/core/somaxconn")));

Deno.test(`${WAITING} clients can wait to be accepted while the agent stands still`, async () => {
  await using backend = await startHealthBackend();
  await withAgent({}, async (agent) => {
    await agent.freeze();
    // Nobody is accepted: it is the kernel that takes these connections, as many as the agent has asked for.
    const connecting = Promise.all(Array.from({ length: WAITING }, () => agent.connect()));
    const isTaken = await within(10_000, connecting.then(() => true), false);
    agent.signal("SIGCONT");
    const replies = (await connecting).map((client) => client.ask(backend.line()));
    assert.deepEqual(new Set(await Promise.all(replies)), new Set(["up\n"]));
    for (const client of await connecting) client.close();
    assert.ok(isTaken, "Some had to wait until the agent accepted others");
  });
});
