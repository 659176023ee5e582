// What many or rude clients, and flooding backends, can do to the agent: its memory stays bounded, its
// metrics tell of it, and checks of others go on. How much memory it took is printed.

import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../lab/backends/libraries/health_backend.ts";
import { FLOODS } from "../lab/backends/peers/faulty_peers.ts";
import { hasGone } from "../lab/backends/peers/peer_server.ts";
import { LineClient } from "../lab/clients/line_client.ts";
import { eventually } from "../lab/testing/eventually.ts";

/** HAProxy drops what comes later: its default agent-inter. */
const CONTRACT_MS = 2000;

const THOROUGH = Deno.env.has("CI") || Deno.env.has("SOAK");

const MIB = 1 << 20;

/** With the log of each check the tests would measure their own reading of it. */
const QUIET = ["--log-level", "warn", "--log-checks", "none"];

async function assertServes(agent: AgentProcess, backend: HealthBackend): Promise<void> {
  const { reply, ms } = await agent.askTimed(backend.line());
  assert.equal(reply, "up\n");
  assert.ok(ms < CONTRACT_MS, `The check took ${Math.round(ms)} ms`);
}

/** Fails when the agent has grown by more, and prints by how much it has. */
function memoryBound(agent: AgentProcess, what: string, limitBytes: number): () => void {
  const before = agent.residentBytes();
  return () => {
    const after = agent.residentBytes();
    const mib = (bytes: number) => Math.round(bytes / MIB);
    console.log(`${what}: ${mib(before)} MiB before, ${mib(after)} MiB after`);
    assert.ok(after - before < limitBytes, `It has grown by ${mib(after - before)} MiB`);
  };
}

async function connectMany(agent: AgentProcess, count: number): Promise<LineClient[]> {
  const clients: LineClient[] = [];
  while (clients.length < count) {
    clients.push(...await Promise.all(Array.from({ length: 250 }, () => agent.connect())));
  }
  await untilConnections(agent, count);
  return clients;
}

async function untilConnections(agent: AgentProcess, count: number): Promise<void> {
  await eventually(`${count} connections`, async () => {
    return (await agent.metrics()).get("haproxy_connections_active") === count;
  }, { timeoutMs: 15_000, everyMs: 100 });
}

Deno.test("a line that never ends costs no memory, and its connection", async () => {
  await using backend = await startHealthBackend();
  await withAgent({ flags: QUIET }, async (agent) => {
    await assertServes(agent, backend);
    const assertBounded = memoryBound(agent, "Endless lines", 64 * MIB);
    const bytes = new Uint8Array(1 << 16).fill(0x78);
    for (let round = 0; round < 200; round++) {
      using socket = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
      let sent = 0;
      try {
        while (sent < 100 * MIB) sent += await socket.write(bytes);
        assert.fail("100 MiB went through");
      } catch (error) {
        const isClose = error instanceof Deno.errors.BrokenPipe ||
          error instanceof Deno.errors.ConnectionReset;
        if (!isClose) throw error;
      }
    }
    assertBounded();
    await assertServes(agent, backend);
    await untilConnections(agent, 0);
  });
});

Deno.test("5000 half-sent lines hold nobody up and are closed in time", async () => {
  await using backend = await startHealthBackend();
  const flags = [...QUIET, "--request-timeout", "6000"];
  await withAgent({ flags }, async (agent) => {
    await assertServes(agent, backend);
    const assertBounded = memoryBound(agent, "5000 half-sent lines", 200 * MIB);
    const clients = await connectMany(agent, 5000);
    const line = backend.line();
    await Promise.all(clients.map((client) => client.write(line.slice(0, 20))));
    for (let check = 0; check < 20; check++) await assertServes(agent, backend);
    assertBounded();
    await untilConnections(agent, 0);
    for (const client of clients) client.close();
    await assertServes(agent, backend);
  });
});

Deno.test("2000 idle connections hold nobody up and all can ask", async () => {
  await using backend = await startHealthBackend();
  await withAgent({ flags: QUIET }, async (agent) => {
    await assertServes(agent, backend);
    const descriptors = agent.fds();
    const assertBounded = memoryBound(agent, "2000 idle connections", 100 * MIB);
    const clients = await connectMany(agent, 2000);
    for (let check = 0; check < 20; check++) await assertServes(agent, backend);
    const answers = await Promise.all(clients.map((client) => client.ask(backend.line())));
    assert.deepEqual(new Set(answers), new Set(["up\n"]));
    assertBounded();
    for (const client of clients) client.close();
    await untilConnections(agent, 0);
    await eventually("their sockets to be closed", () => agent.fds() <= descriptors + 2);
  });
});

Deno.test("distinct dead targets leave nothing behind", async () => {
  const count = THOROUGH ? 24_000 : 8000;
  await using backend = await startHealthBackend();
  await withAgent({ flags: [...QUIET, "--fall", "2"] }, async (agent) => {
    await assertServes(agent, backend);
    let asked = 0;
    /** Refused, each of them: nothing listens on these ports of the loopback network. */
    const nextLine = () => {
      const number = asked++;
      const address = `127.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
      return `${address} ${1 + number % 7} no-ssl host-${number}.test\n`;
    };
    const askAll = async (until: number) => {
      await Promise.all(Array.from({ length: 4 }, async () => {
        using client = await agent.connect();
        while (asked < until) {
          const batch = Math.min(25, until - asked);
          await client.write(Array.from({ length: batch }, nextLine).join(""));
          for (let answer = 0; answer < batch; answer++) {
            assert.equal(await client.readLine(), "down\n");
          }
        }
      }));
    };
    const descriptors = agent.fds();
    // What the agent remembers of backends fills up first, and V8 would rather grow than collect; what
    // leaks goes on growing. A channel that was kept would be 40 kB.
    await askAll(count / 2);
    const assertBounded = memoryBound(agent, `${count} dead targets`, 160 * MIB);
    await askAll(count);
    assertBounded();
    await assertServes(agent, backend);
    const metrics = await agent.metrics();
    assert.equal(metrics.get('check_errors_total{error_type="backend_unreachable"}'), count);
    await eventually("no channel but one", async () => {
      return (await agent.metrics()).get("grpc_channels_active") === 1;
    });
    await eventually("no socket more", () => agent.fds() <= descriptors + 2);
  });
});

Deno.test("random bytes at full speed are answered down or closed at a limit, and others are served", async () => {
  const seconds = 10;
  await using backend = await startHealthBackend();
  await withAgent({ flags: ["--log-checks", "none"] }, async (agent) => {
    await assertServes(agent, backend);
    const assertBounded = memoryBound(agent, `${seconds} s of random bytes`, 128 * MIB);
    const end = performance.now() + seconds * 1000;
    const bytes = crypto.getRandomValues(new Uint8Array(1 << 16));
    let [sent, answers] = [0, 0];
    const flood = async () => {
      while (performance.now() < end) {
        using socket = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
        const reading = readAnswers(socket);
        try {
          while (performance.now() < end) {
            // Another stretch each time, so that lines and their lengths differ.
            const from = Math.floor(Math.random() * 60_000);
            sent += await socket.write(bytes.subarray(from, from + 1 + Math.random() * 5000));
          }
          await socket.closeWrite();
        } catch (error) {
          if (!hasGone(error)) throw error;
        }
        answers += await reading;
      }
    };
    const floods = Promise.all(Array.from({ length: 4 }, flood));
    let checks = 0;
    while (performance.now() < end) {
      await assertServes(agent, backend);
      checks++;
    }
    await floods;
    console.log(
      `${Math.round(sent / MIB)} MiB, ${answers} answers, and ${checks} checks beside them`,
    );
    assert.ok(answers > 1000);
    assertBounded();
    await untilConnections(agent, 0);
    await assertServes(agent, backend);
    const metrics = await agent.metrics();
    assert.ok((metrics.get('check_errors_total{error_type="parse_error"}') ?? 0) >= answers);
    assert.equal(metrics.get('check_errors_total{error_type="internal"}'), 0);
    const perSecond = agent.logs.length / seconds;
    assert.ok(perSecond < 50, `${perSecond} log lines a second`);
  });
});

/** Reads to the end; each answer must be one that the protocol knows. @returns how many there were */
async function readAnswers(socket: Deno.TcpConn): Promise<number> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1 << 16);
  let [rest, answers] = ["", 0];
  try {
    for (let count; (count = await socket.read(buffer)) !== null;) {
      const lines = (rest + decoder.decode(buffer.subarray(0, count))).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) assert.ok(line === "up" || line === "down", JSON.stringify(line));
      answers += lines.length;
    }
  } catch (error) {
    if (!hasGone(error)) throw error;
  }
  return answers;
}

Deno.test("backends that flood the agent take little of its time and memory, and others are served", async () => {
  await using healthy = await startHealthBackend();
  await withAgent({ flags: QUIET }, async (agent) => {
    await assertServes(agent, healthy);
    const grown = memoryBound(agent, "Flooded by backends", 64 * MIB);
    for (const { start } of FLOODS) {
      await using peer = await start();
      const line = `127.0.0.1 ${peer.port} no-ssl backend.test\n`;
      for (let round = 0; round < 10; round++) {
        const flooded = agent.askTimed(line);
        await assertServes(agent, healthy);
        const { reply, ms } = await flooded;
        assert.equal(reply, "down\n");
        assert.ok(ms < CONTRACT_MS, `The flooded check took ${Math.round(ms)} ms`);
      }
    }
    grown();
  });
});
