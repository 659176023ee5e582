import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { counting, withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { PeerServer } from "../lab/backends/peers/peer_server.ts";
import { askFrom } from "../lab/clients/ask.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { testWithOwnNames } from "../lab/machine/own_names.ts";
import { eventually } from "../lab/testing/eventually.ts";

async function assertRejected(agent: AgentProcess, count: number): Promise<void> {
  const name = 'haproxy_grpc_agent_connections_rejected_total{reason="client_not_allowed"}';
  await eventually(`${count} rejections`, async () => {
    return (await agent.metrics()).get(name) === count;
  });
}

Deno.test("a client that allow_clients does not name is closed without a byte, and counted", async () => {
  await using backend = await startHealthBackend();
  const flags = ["--allow-clients", "127.0.0.2,127.0.1.0/24"];
  await withAgent({ flags, until: "port" }, async (agent) => {
    const { port } = agent;
    const line = backend.line();
    assert.equal(await askFrom("127.0.0.2", { port, line }), "up\n");
    assert.equal(await askFrom("127.0.1.77", { port, line }), "up\n");
    const before = await agent.metrics();
    const rejected = 'haproxy_grpc_agent_connections_rejected_total{reason="client_not_allowed"}';
    const base = before.get(rejected) ?? 0;
    assert.equal(await askFrom("127.0.0.1", { port, line }), "");
    assert.equal(await askFrom("127.0.0.3", { port, line: "nonsense\n" }), "");
    assert.equal(await askFrom("127.0.2.1", { port, line }), "");
    await assertRejected(agent, base + 3);
    assert.equal((await backend.report()).calls, 2);
    const entry = await agent.waitForLog("of a rejection", (entry) => entry.peer === "127.0.0.3");
    assert.deepEqual({ level: entry.level, reason: entry.reason }, {
      level: "warn",
      reason: "client_not_allowed",
    });
  });
});

Deno.test("on :: a client is known by its IPv4 address", async () => {
  await using backend = await startHealthBackend();
  const [port, metricsPort] = [freePort(), freePort()];
  const flags = [
    ...["--server-bind", "::", "--server-port", `${port}`],
    ...["--metrics-bind", "127.0.0.1", "--metrics-port", `${metricsPort}`],
    ...["--allow-clients", "127.0.0.2,::1"],
  ];
  await withAgent({ addressFlags: false, port, metricsPort, flags }, async (agent) => {
    const line = backend.line();
    assert.equal(await askFrom("127.0.0.2", { port, line }), "up\n");
    assert.equal(await askFrom("127.0.0.1", { port, line }), "");
    assert.equal(await askFrom("::1", { to: "::1", port, line }), "up\n");
    await assertRejected(agent, 1);
  });
});

Deno.test("allow_backends lets exactly its networks and ports through", async (t) => {
  const ports = Array.from({ length: 4 }, freePort).sort((a, b) => a - b);
  const [below, first, last, above] = await Promise.all(
    ports.map((port) => startHealthBackend({ port })),
  );
  assert.ok(below && first && last && above);
  await using _backends = new AsyncDisposableStack();
  for (const backend of [below, first, last, above]) _backends.use(backend);
  const flags = ["--allow-backends", `127.0.0.0/8:${first.port}-${last.port}`];
  await withAgent({ flags }, async (agent) => {
    for (const backend of [first, last]) {
      assert.equal(await agent.ask(backend.line()), "up\n", `Port ${backend.port}`);
    }
    const denied = [
      ["a port below", below.line()],
      ["a port above", above.line()],
      ["another network", `10.0.0.1 ${first.port} no-ssl a.test\n`],
      ["IPv6", `::1 ${first.port} no-ssl a.test\n`],
      [
        "the unspecified address, which the kernel takes for loopback",
        `0.0.0.0 ${first.port} no-ssl a\n`,
      ],
    ] as const;
    for (const [what, line] of denied) {
      await t.step(`${what} is denied`, async () => {
        const counted = await counting(agent, 1, async () => {
          assert.equal(await agent.ask(line), "down\n");
        });
        assert.deepEqual(counted, { error: 1, denied: 1 });
      });
    }
    await t.step("an IPv4-mapped address is the IPv4 address", async () => {
      const line = first.line().replace("127.0.0.1", "::ffff:127.0.0.1");
      assert.equal(await agent.ask(line), "up\n");
    });
    for (const backend of [below, above]) assert.equal((await backend.report()).calls, 0);
  });
});

testWithOwnNames(
  "a name is judged by what it resolves to, and only the addresses that are allowed are asked",
  {
    "inside.test": ["127.0.0.1"],
    "elsewhere.test": ["127.9.9.9"],
    "mixed.test": ["127.9.9.9", "127.0.0.1"],
    "trusted.test": ["127.9.9.9"],
  },
  async (wrapper) => {
    await using inside = await startHealthBackend();
    await using outside = new PeerServer(() => {}, { hostname: "127.9.9.9", port: inside.port });
    const flags = ["--allow-backends", "127.0.0.0/24,trusted.test"];
    await withAgent({ wrapper, flags }, async (agent) => {
      const line = (name: string) => inside.line().replace("127.0.0.1", name);
      assert.equal(await agent.ask(line("inside.test")), "up\n");
      const counted = await counting(agent, 1, async () => {
        assert.equal(await agent.ask(line("elsewhere.test")), "down\n");
      });
      assert.deepEqual(counted, { error: 1, denied: 1 });
      assert.equal(await agent.ask(line("mixed.test")), "up\n");
      assert.equal(outside.connections, 0);
      assert.equal(await agent.ask(line("trusted.test")), "down\n");
      assert.ok(outside.connections > 0, "A name that is allowed goes wherever it resolves to");
    });
  },
);

Deno.test("a denied target does not tell open from closed: same answer, same time, no packet", async () => {
  await using open = new PeerServer(() => {});
  const closed = freePort();
  const flags = ["--allow-backends", "127.0.0.0/8:50000-50100", "--reply-reason"];
  await withAgent({ flags }, async (agent) => {
    using client = await agent.connect();
    const ask = async (port: number) => {
      const start = performance.now();
      const reply = await client.ask(`127.0.0.1 ${port} no-ssl a.test\n`);
      assert.equal(reply, "down #denied\n");
      return performance.now() - start;
    };
    const times = { open: [] as number[], closed: [] as number[] };
    for (let round = 0; round < 400; round++) {
      times.open.push(await ask(open.port));
      times.closed.push(await ask(closed));
    }
    const [ofOpen, ofClosed] = [median(times.open), median(times.closed)];
    console.log(`Median: open ${ofOpen.toFixed(3)} ms, closed ${ofClosed.toFixed(3)} ms`);
    // A connection that is made or refused costs a multiple of it.
    assert.ok(ofOpen < ofClosed * 2 + 0.2, `${ofOpen} ms and ${ofClosed} ms`);
    assert.ok(ofClosed < ofOpen * 2 + 0.2, `${ofOpen} ms and ${ofClosed} ms`);
    assert.equal(open.connections, 0);
  });
});

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

Deno.test("an agent that is open to everybody says so at its start, one that is not does not", async (t) => {
  const port = freePort();
  const metricsPort = freePort();
  const openly = ["--server-bind", "0.0.0.0", "--server-port", `${port}`];
  const http = ["--metrics-bind", "127.0.0.1", "--metrics-port", `${metricsPort}`];
  for (
    const [what, more, warned] of [
      ["open", [], true],
      ["allow_clients", ["--allow-clients", "127.0.0.0/8"], false],
      ["allow_backends", ["--allow-backends", "127.0.0.0/8"], false],
    ] as const
  ) {
    await t.step(what, async () => {
      const flags = [...openly, ...http, ...more];
      await withAgent({ addressFlags: false, port, metricsPort, flags }, (agent) => {
        const warnings = agent.logs.filter(({ level }) => level === "warn");
        assert.equal(warnings.length, warned ? 1 : 0, JSON.stringify(warnings));
        return Promise.resolve();
      });
    });
  }
});
