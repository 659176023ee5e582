// Clients that hang up before their answer, as HAProxy does at agent-inter or `timeout check`.

import assert from "node:assert/strict";
import { connect } from "node:net";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { askFrom } from "../lab/clients/ask.ts";
import { eventually } from "../lab/testing/eventually.ts";

/** When these clients hang up, in milliseconds; 5 % of it is what a busy machine may be late by. */
const AGE_MS = 600;

/** How a client ends: by a reset, or by a close, after which its machine answers with a reset. */
type Ending = "reset" | "close";

/** Sends lines, and hangs up after {@linkcode AGE_MS}. */
async function hangUp(
  agent: AgentProcess,
  lines: string,
  ending: Ending = "reset",
): Promise<void> {
  const socket = connect({ port: agent.port, host: "127.0.0.1", noDelay: true });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.write(lines);
  setTimeout(() => ending === "reset" ? socket.resetAndDestroy() : socket.destroy(), AGE_MS);
  await closed;
}

async function metric(agent: AgentProcess, name: string): Promise<number | undefined> {
  return (await agent.metrics()).get(`haproxy_grpc_agent_${name}`);
}

async function untilAbandoned(agent: AgentProcess, count: number): Promise<void> {
  await eventually(`${count} checks that were given up`, async () => {
    return await metric(agent, "checks_abandoned_total") === count;
  });
}

/** Hangs up by resets until the agent has learnt it. */
async function teach(agent: AgentProcess, line: string): Promise<number> {
  for (let resets = 1; resets <= 12; resets++) {
    await hangUp(agent, line);
    await untilAbandoned(agent, resets);
    if (await metric(agent, "client_patience_learnt") === 1) return resets;
  }
  throw new Error("The agent has not learnt");
}

const SHOWN = {
  log: "A client hangs up before the answer: it is answered sooner from now on",
  warning: "Check given up by its client",
};

Deno.test("a client that keeps resetting is answered before it does, and told of", async () => {
  await using backend = await startHealthBackend();
  await withAgent({}, async (agent) => {
    assert.equal(await metric(agent, "checks_abandoned_total"), 0);
    assert.equal(await metric(agent, "client_patience_learnt"), 0);
    await backend.freeze();
    await hangUp(agent, backend.line());
    await untilAbandoned(agent, 1);
    const status = async () => JSON.parse((await agent.get("/api/status")).body);
    const [unanswered] = (await status()).backends;
    assert.deepEqual([unanswered.state, unanswered.hang_ups], ["unanswered", 1]);
    const advice =
      /HAProxy hung up after \d+ ms, before the answer; lower check_timeout_ms below it, or raise agent-inter or timeout check/;
    assert.match(unanswered.last_hang_up.advice, advice);
    assert.match((await agent.get("/")).body, advice);

    for (let resets = 1; await metric(agent, "client_patience_learnt") === 0; resets++) {
      assert.ok(resets < 12, "The agent has not learnt");
      await hangUp(agent, backend.line());
      await untilAbandoned(agent, resets + 1);
    }
    const { reply, ms } = await agent.askTimed(backend.line());
    assert.equal(reply, "down\n");
    assert.ok(ms < 1500, `The answer took ${Math.round(ms)} ms, and its usual deadline is 1800 ms`);

    const [backendStatus] = (await status()).backends;
    assert.equal(backendStatus.state, "down");
    assert.equal(backendStatus.learnt_patience[0].client, "127.0.0.1");
    assert.match((await agent.get("/")).body, /127\.0\.0\.1 keeps hanging up after \d+ ms/);
    const warned = agent.logs.filter(({ message }) => message === SHOWN.warning);
    assert.equal(warned.length, 1, "A hang-up is told once for a client and a backend");
    assert.equal(warned[0]?.level, "warn");
    assert.match(`${warned[0]?.cure}`, advice);
    await agent.waitForLog("of what was learnt", ({ message }) => message === SHOWN.log);
    await backend.thaw();
    assert.equal(await agent.ask(backend.line()), "up\n");
  });
});

Deno.test("what is learnt of one client shortens no other's answer, and not the RPC they share", async () => {
  await using backend = await startHealthBackend({ delayMs: 5000 });
  await withAgent({ flags: ["--grpc-rpc-timeout", "1700"] }, async (agent) => {
    await teach(agent, backend.line());
    await backend.setDelay(1000);
    const before = (await backend.report()).calls;
    const impatient = agent.ask(backend.line());
    const patient = askFrom("127.0.0.2", { port: agent.port, line: backend.line() });
    assert.deepEqual(await Promise.all([impatient, patient]), ["down\n", "up\n"]);
    const { calls } = await backend.report();
    assert.ok(calls - before <= 2, "One call, and one to see whether the connection is alive");
  });
});

Deno.test("a client that closes before its answer is counted, and teaches nothing", async () => {
  await using backend = await startHealthBackend();
  await backend.freeze();
  await withAgent({}, async (agent) => {
    for (let nth = 1; nth <= 4; nth++) {
      await hangUp(agent, backend.line(), "close");
      await untilAbandoned(agent, nth);
    }
    const { by } = await agent.waitForLog(
      "of the hang-up",
      ({ message }) => message === SHOWN.warning,
    );
    assert.equal(by, "closed");
    assert.equal(await metric(agent, "client_patience_learnt"), 0);
  });
});

for (const [what, end] of [["a line", "\n"], ["a line without a newline", ""]] as const) {
  Deno.test(`a client that closes right behind ${what} is counted`, async () => {
    await using backend = await startHealthBackend({ delayMs: 200 });
    await withAgent({}, async (agent) => {
      using client = await agent.connect();
      await client.write(backend.line().trimEnd() + end);
      client.close();
      await untilAbandoned(agent, 1);
    });
  });

  Deno.test(`a client that has only ended its own stream behind ${what} has not hung up`, async () => {
    await using backend = await startHealthBackend({ delayMs: 200 });
    await withAgent({}, async (agent) => {
      using client = await agent.connect();
      await client.write(backend.line().trimEnd() + end);
      await client.endWriting();
      assert.equal(await client.readToEnd(), "up\n");
      assert.equal(await metric(agent, "checks_abandoned_total"), 0);
    });
  });
}

Deno.test("resets after several lines teach nothing", async () => {
  await using backend = await startHealthBackend();
  await backend.freeze();
  await withAgent({}, async (agent) => {
    for (let nth = 1; nth <= 4; nth++) {
      await hangUp(agent, backend.line().repeat(3));
      await untilAbandoned(agent, 3 * nth);
    }
    assert.equal(await metric(agent, "client_patience_learnt"), 0);
  });
});

Deno.test("an `up` that is taken later than the resets keeps them from teaching", async () => {
  await using backend = await startHealthBackend({ delayMs: 1000 });
  await withAgent({}, async (agent) => {
    for (const resets of [2, 4]) {
      for (let nth = 1; nth >= 0; nth--) {
        await hangUp(agent, backend.line());
        await untilAbandoned(agent, resets - nth);
      }
      assert.equal(await agent.ask(backend.line()), "up\n");
    }
    assert.equal(await metric(agent, "client_patience_learnt"), 0);
  });
});

Deno.test("with learn_patience = false nothing is learnt, and hang-ups are counted all the same", async () => {
  await using backend = await startHealthBackend();
  await backend.freeze();
  await withAgent({ flags: ["--learn-patience", "false"] }, async (agent) => {
    for (let nth = 1; nth <= 4; nth++) {
      await hangUp(agent, backend.line());
      await untilAbandoned(agent, nth);
    }
    assert.equal(await metric(agent, "client_patience_learnt"), 0);
    const { ms } = await agent.askTimed(backend.line());
    assert.ok(ms > AGE_MS, `The answer took ${Math.round(ms)} ms: it came before the hang-ups`);
  });
});
