import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { eventually } from "../lab/testing/eventually.ts";

/** Descriptors that the HTTP port may take: its connections, and a little. */
const MAX_DESCRIPTORS = 64 + 10;

/** Memory that it may cost, in bytes: so many connections hold a page each. */
const MAX_GROWTH = 150e6;

/** HAProxy drops what comes later: its default agent-inter. */
const CONTRACT_MS = 2000;

const GET_PAGE = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** What a scraper does with one of its connections after opening it, and with how many. */
const SCRAPERS: readonly [string, number, (connection: Deno.TcpConn) => Promise<unknown>][] = [
  ["opens a thousand connections and is silent", 1000, () => Promise.resolve()],
  [
    "sends a thousand halves of requests",
    1000,
    (connection) => send(connection, "GET / HTTP/1.1\r\nHo"),
  ],
  [
    "asks for many pages at once and does not read them",
    200,
    (connection) => send(connection, GET_PAGE.repeat(50)),
  ],
  [
    "sends header fields without end",
    100,
    (connection) => send(connection, `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(300_000)}`),
  ],
  [
    "sends a body without end",
    100,
    (connection) =>
      send(
        connection,
        `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n40000\r\n${
          "x".repeat(0x40000)
        }`,
      ),
  ],
  ["asks for a page and does not read it", 200, (connection) => send(connection, GET_PAGE)],
  ["asks for page after page and reads them", 20, async (connection) => {
    const buffer = new Uint8Array(65_536);
    for (let page = 0; page < 30; page++) {
      await send(connection, GET_PAGE);
      for (let end = ""; !end.includes("</html>");) {
        const count = await connection.read(buffer);
        if (count === null) return;
        end = end.slice(-10) + new TextDecoder().decode(buffer.subarray(0, count));
      }
    }
  }],
];

async function send(connection: Deno.TcpConn, text: string): Promise<void> {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) rest = rest.subarray(await connection.write(rest));
}

/** Asks for a hundred services, so that the page is long. */
async function fillHistory(agent: AgentProcess, lines: readonly string[]): Promise<void> {
  await Promise.all(lines.map((line) => agent.ask(line)));
}

for (const [what, count, act] of SCRAPERS) {
  Deno.test(`a scraper that ${what} slows no check`, async () => {
    const names = Array.from({ length: 300 }, (_, index) => `service.N${index}`);
    const services = Object.fromEntries(names.map((name) => [name, "SERVING" as const]));
    await using backend = await startHealthBackend({ services });
    await withAgent({}, async (agent) => {
      await fillHistory(agent, names.map((service) => backend.line({ service })));
      const line = backend.line({ service: "service.N1" });
      await eventually("clients to be gone", async () => {
        return (await agent.metrics()).get("haproxy_connections_active") === 0;
      });
      const descriptors = agent.fds();
      const resident = agent.residentBytes();
      const connections: Deno.TcpConn[] = [];
      const actions: Promise<unknown>[] = [];
      for (let opened = 0; opened < count; opened++) {
        const connection = await Deno.connect({ hostname: "127.0.0.1", port: agent.metricsPort });
        connections.push(connection);
        actions.push(act(connection).catch(() => {}));
        if (opened % 50 > 0) continue;
        const { reply, ms } = await agent.askTimed(line);
        assert.equal(reply, "up\n");
        assert.ok(ms < CONTRACT_MS, `A check took ${Math.round(ms)} ms`);
      }
      for (let check = 0; check < 10; check++) {
        const { reply, ms } = await agent.askTimed(line);
        assert.equal(reply, "up\n");
        assert.ok(ms < CONTRACT_MS, `A check took ${Math.round(ms)} ms`);
      }
      await eventually("descriptors to be few", () => agent.fds() < descriptors + MAX_DESCRIPTORS);
      const growth = agent.residentBytes() - resident;
      assert.ok(growth < MAX_GROWTH, `The agent has grown by ${growth} bytes`);
      assert.equal((await agent.get("/readyz")).status, 200, "a probe gets through");
      for (const connection of connections) connection.close();
      await Promise.all(actions);
      await eventually("descriptors to be free", () => agent.fds() <= descriptors + 3);
    });
  });
}

Deno.test("a scraper that says nothing more is let go of", async () => {
  await withAgent({}, async (agent) => {
    using silent = await Deno.connect({ hostname: "127.0.0.1", port: agent.metricsPort });
    await send(silent, "GET /metrics HTTP/1.1\r\nHo");
    const start = performance.now();
    const end = await silent.read(new Uint8Array(1000)).catch(() => null);
    // It may be told so (408) before the end.
    if (end !== null) await silent.read(new Uint8Array(1000)).catch(() => null);
    assert.ok(performance.now() - start < 9000);
  });
});
