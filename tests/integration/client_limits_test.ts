import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { type HealthStatus, startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import type { LineClient } from "../lab/clients/line_client.ts";
import { DeafClient, resetAfter } from "../lab/clients/rude_clients.ts";
import { eventually, within } from "../lab/testing/eventually.ts";

/** The agent looks for connections that are overdue once a second; the rest is room. */
const SWEEP_MS = 3000;

async function untilConnections(agent: AgentProcess, count: number): Promise<void> {
  await eventually(`${count} connections`, async () => {
    return (await agent.metrics()).get("haproxy_connections_active") === count;
  });
}

Deno.test("one connection more than max_connections is closed without a byte and counted, and the others go on", async () => {
  await using backend = await startHealthBackend();
  await withAgent({ flags: ["--max-connections", "3"] }, async (agent) => {
    const clients: LineClient[] = [];
    for (let index = 0; index < 3; index++) clients.push(await agent.connect());
    await untilConnections(agent, 3);
    for (let more = 0; more < 5; more++) {
      using client = await agent.connect();
      assert.equal(await client.readToEnd(), "");
    }
    assert.equal(
      (await agent.metrics()).get(
        'haproxy_grpc_agent_connections_rejected_total{reason="max_connections"}',
      ),
      5,
    );
    for (const client of clients) assert.equal(await client.ask(backend.line()), "up\n");
    clients.pop()?.close();
    await untilConnections(agent, 2);
    assert.equal(await agent.ask(backend.line()), "up\n", "There is room again");
    for (const client of clients) client.close();
  });
});

Deno.test("max_line_bytes bounds a line, not what comes with it", async () => {
  await using backend = await startHealthBackend();
  await withAgent({ flags: ["--max-line-bytes", "64"] }, async (agent) => {
    const line = backend.line().trimEnd();
    const longest = line.padEnd(64);
    using client = await agent.connect();
    for (const end of ["\n", "\r", "\r\n"]) {
      assert.equal(await client.ask(longest + end), "up\n", JSON.stringify(end));
    }
    await client.write(`${longest}\n`.repeat(10));
    for (let answer = 0; answer < 10; answer++) assert.equal(await client.readLine(), "up\n");
    await client.write(`${longest}\n${longest} \n`);
    assert.equal(await client.readToEnd(), "up\n", "The line before the one that is too long");
  });
});

Deno.test("a line that does not end within request_timeout_ms closes its connection, however it dribbles", async () => {
  await using slow = await startHealthBackend({ delayMs: 1200 });
  await withAgent({ flags: ["--request-timeout", "1000"] }, async (agent) => {
    using halfSent = await agent.connect();
    using dribbling = await agent.connect();
    using idle = await agent.connect();
    using waiting = await agent.connect();
    await halfSent.write("127.0.0.1 1 no-s");
    await waiting.write(slow.line());
    let dribbled = 0;
    const dribble = setInterval(() => {
      dribbled++;
      dribbling.write("x").catch(() => {});
    }, 50);
    try {
      const start = performance.now();
      assert.equal(await waiting.readLine(), "up\n", "A check is not a line that does not end");
      await within("the half-sent line", SWEEP_MS, halfSent.readToEnd().catch(() => ""));
      await within("the dribbling one", SWEEP_MS, dribbling.readToEnd().catch(() => ""));
      assert.ok(performance.now() - start > 900, "It had its time");
      assert.ok(dribbled > 10, `${dribbled} bytes`);
    } finally {
      clearInterval(dribble);
    }
    assert.equal(await idle.ask("nonsense\n"), "down\n", "Who has sent nothing is not concerned");
    assert.equal(await waiting.ask("nonsense\n"), "down\n");
  });
});

Deno.test("a line that never ends is told and counted as parse_error, by the client's reset or the agent's close", async () => {
  await withAgent({ flags: ["--request-timeout", "1000"] }, async (agent) => {
    const [quoted, cut] = ["127.0.0.1 1 no-ssl in-single-quotes\\n", "127.0.0.1 1 no-ssl"];
    const counted = async (count: number) =>
      (await agent.metrics()).get('check_errors_total{error_type="parse_error"}') === count;
    let connected = false;
    await resetAfter(agent.port, quoted, async () => {
      const had = connected;
      connected = (await agent.metrics()).get("haproxy_connections_active") === 1;
      return had;
    });
    await eventually("the one that was reset", () => counted(1));
    using client = await agent.connect();
    await client.write(cut);
    assert.equal(await within("the agent to close", SWEEP_MS, client.readToEnd()), "");
    await eventually("the one that was closed", () => counted(2));
    assert.deepEqual(
      agent.logs.filter(({ message }) => message === "Invalid line")
        .map(({ level, line, error }) => [level, line, `${error}`.slice(0, 20)]),
      [["warn", quoted, "the line ends in a b"], ["warn", cut, "expected 4 fields: <"]],
    );
  });
});

Deno.test("the time for a line begins with the line, also after one that had no end", async () => {
  await using backend = await startHealthBackend();
  await withAgent({ flags: ["--request-timeout", "2000"] }, async (agent) => {
    using client = await agent.connect();
    await client.write(backend.line().trimEnd());
    assert.equal(await client.readLine(), "up\n");
    await pause(2500);
    await client.write("127.0.0.1 ");
    await pause(1300); // at least one look at what is overdue
    await client.write(backend.line().slice("127.0.0.1 ".length));
    assert.equal(await client.readLine(), "up\n");
  });
});

Deno.test("a connection without a request for idle_timeout_ms is closed, one that asks is not", async () => {
  await using backend = await startHealthBackend();
  await using slow = await startHealthBackend({ delayMs: 1300 });
  await withAgent({ flags: ["--idle-timeout", "1000"] }, async (agent) => {
    using silent = await agent.connect();
    using asked = await agent.connect();
    using asking = await agent.connect();
    assert.equal(await asked.ask(backend.line()), "up\n");
    let closed = false;
    const closing = Promise.all([silent.readToEnd(), asked.readToEnd()]).then((rest) => {
      closed = true;
      return rest;
    });
    await eventually("the idle ones to be closed", async () => {
      assert.equal(await asking.ask(backend.line()), "up\n");
      return closed;
    }, { timeoutMs: SWEEP_MS, everyMs: 200 });
    assert.deepEqual(await closing, ["", ""]);
    assert.equal(await asking.ask(slow.line()), "up\n", "A check under way is no idleness");
    assert.equal(await asking.ask(backend.line()), "up\n");
  });
});

Deno.test("a client that does not read its answers is closed after idle_timeout_ms", async () => {
  // With reasons the answers fill the kernel's buffers sooner.
  const flags = ["--idle-timeout", "1000", "--log-level", "error", "--reply-reason", "true"];
  await withAgent({ flags }, async (agent) => {
    await using client = await DeafClient.open(agent.port, "x\n");
    await within("the agent to close", 30_000, client.ended);
    assert.ok(client.sentBytes > 64 * 1024);
    await untilConnections(agent, 0);
  });
});

Deno.test("of 300 lines at once 64 are checked at a time, and all are answered in their order", async () => {
  const services = Object.fromEntries(
    Array.from({ length: 300 }, (_, index): [string, HealthStatus] => [
      `service.N${index}`,
      index % 3 === 0 ? "NOT_SERVING" : "SERVING",
    ]),
  );
  await using backend = await startHealthBackend({ services, delayMs: 300 });
  await withAgent({}, async (agent) => {
    using client = await agent.connect();
    const names = Object.keys(services);
    await client.write(names.map((service) => backend.line({ service })).join(""));
    await eventually("the first checks", async () => (await backend.report()).calls >= 64);
    assert.equal(client.unread, "");
    assert.equal((await backend.report()).calls, 64);
    for (const [index, name] of names.entries()) {
      const expected = services[name] === "SERVING" ? "up\n" : "down\n";
      assert.equal(await client.readLine(), expected, `Answer ${index}`);
    }
    assert.equal((await backend.report()).calls, 300);
  });
});
