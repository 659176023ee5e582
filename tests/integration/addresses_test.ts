// Both address families, alone and behind one name, and addresses to which no route leads.

import assert from "node:assert/strict";
import { checkJson } from "../lab/agent/run_agent.ts";
import { counting, withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { blackHole } from "../lab/backends/peers/tcp_peers.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { openDoors } from "../lab/machine/network_door.ts";
import { testWithOwnNames } from "../lab/machine/own_names.ts";
import { testWithOwnNetwork } from "../lab/machine/own_network.ts";
import { FEW_PORTS } from "../lab/machine/taken_ports.ts";
import { eventually } from "../lab/testing/eventually.ts";

/** Less than `grpc_connect_timeout_ms`: no timer has ended the check. */
const SOON_MS = 800;

/** A name with an address of each family; getaddrinfo() gives that of IPv6 first. */
const BOTH = { "both.test": ["::1", "127.0.0.1"] };

/** Adds to a network a route on which every packet to 2001:db8::1 is lost. */
const LOSE_IPV6 = [
  "ip link add left type veth peer name right",
  "ip addr add 2001:db8::2/64 dev left nodad",
  "ip link set left up",
  "ip link set right up",
  "ip neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev left",
].join(" && ");

Deno.test("a backend on ::1 is up by any spelling of it, plain and over TLS", async () => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issueServer("::1");
  await using plain = await startHealthBackend({ host: "[::1]" });
  await using secure = await startHealthBackend({ host: "[::1]", tls });
  await withAgent({ flags: ["--tls-ca-file", authority.caFile] }, async (agent) => {
    for (const host of ["::1", "[::1]", "0:0:0:0:0:0:0:1", "[0000::0001]", "::0.0.0.1"]) {
      // Once more on the connection that is kept then.
      for (let time = 0; time < 2; time++) {
        const lines = [
          `${host} ${plain.port} no-ssl backend.test\n`,
          `${host} ${secure.port} ssl [::1]:443\n`,
        ];
        for (const line of lines) assert.equal(await agent.ask(line), "up\n", line);
      }
    }
    for (const backend of [plain, secure]) {
      const { checks, connections } = await backend.report();
      assert.deepEqual({ checks, connections }, { checks: 10, connections: 4 });
    }
  });
});

Deno.test("an IPv4-mapped IPv6 address is the IPv4 address, however it is spelled", async () => {
  await using backend = await startHealthBackend();
  await withAgent({}, async (agent) => {
    for (const host of ["::ffff:127.0.0.1", "[::FFFF:7f00:1]", "0:0:0:0:0:ffff:127.0.0.1"]) {
      assert.equal(await agent.ask(backend.line().replace("127.0.0.1", host)), "up\n", host);
    }
  });
});

Deno.test("an address to which the kernel begins no connection is unreachable at once", async () => {
  await withAgent({}, async (agent) => {
    const descriptors = agent.fds();
    // Multicast, broadcast, and a link-local address without its link: no packet is sent.
    for (const host of ["224.0.0.1", "255.255.255.255", "ff02::1", "fe80::1"]) {
      const counted = await counting(agent, 2, async () => {
        for (let time = 0; time < 2; time++) {
          const { reply, ms } = await agent.askTimed(`${host} 50051 no-ssl backend.test\n`);
          assert.equal(reply, "down\n");
          assert.ok(ms < SOON_MS, `${host}: the answer took ${Math.round(ms)} ms`);
        }
      });
      assert.deepEqual(counted, { error: 2, "backend_unreachable": 2 }, host);
    }
    await eventually("no socket to stay", () => agent.fds() <= descriptors + 2);
  });
});

testWithOwnNetwork(
  "without a route an address is unreachable at once, and a name is up by its address that has one",
  { "both.test": ["2001:db8::1", "127.0.0.1"], "neither.test": ["2001:db8::1", "192.0.2.1"] },
  "true",
  async ({ wrapper, withNames }) => {
    await using backend = await startHealthBackend({}, wrapper);
    const check = (host: string) =>
      checkJson([host, `${backend.port}`, "no-ssl", "a.test"], {}, withNames);
    for (const host of ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "neither.test"]) {
      const { verdict, reply, detail, duration_ms: ms } = await check(host);
      assert.deepEqual({ verdict, reply }, { verdict: "unreachable", reply: "down" }, host);
      assert.match(detail, /ENETUNREACH/);
      assert.ok(ms < SOON_MS, `${host}: it took ${ms} ms`);
    }
    assert.equal((await check("both.test")).reply, "up");
  },
);

testWithOwnNetwork(
  "a name is up by its IPv4 address while all packets to its first, of IPv6, are lost",
  { "both.test": ["2001:db8::1", "127.0.0.1"] },
  LOSE_IPV6,
  async ({ wrapper, withNames }) => {
    await using backend = await startHealthBackend({}, wrapper);
    const check = (host: string) =>
      checkJson([host, `${backend.port}`, "no-ssl", "a.test"], {}, withNames);
    assert.equal((await check("2001:db8::1")).verdict, "timeout", "its packets are lost");
    const { reply, timings_ms: { connect = 0 } } = await check("both.test");
    assert.equal(reply, "up");
    assert.ok(connect > 100, "IPv4 was waited for until IPv6 had had its time");
  },
);

for (const host of ["127.0.0.1", "[::1]"]) {
  testWithOwnNames(
    `a backend that listens on ${host} only is up by a name with both families`,
    BOTH,
    async (wrapper) => {
      await using backend = await startHealthBackend({ host });
      await withAgent({ wrapper }, async (agent) => {
        const line = `both.test ${backend.port} no-ssl backend.test\n`;
        assert.equal(await agent.ask(line), "up\n");
        await eventually("one connection to stay", () => agent.socketsTo(backend.port) === 1);
        await backend.kill();
        const counted = await counting(agent, 1, async () => {
          assert.equal(await agent.ask(line), "down\n");
        });
        assert.deepEqual(counted, { error: 1, "backend_unreachable": 1 });
        await backend.start();
        assert.equal(await agent.ask(line), "up\n");
      });
    },
  );
}

testWithOwnNames(
  "no socket goes on connecting to a lost address when another, oddly spelled, is connected",
  { "mapped.test": ["0:0:0:0:0:0:0:1", "::ffff:7f00:1"] },
  async (wrapper) => {
    const port = freePort();
    await using _lost = await blackHole(port, "::1");
    await using _backend = await startHealthBackend({ port });
    await withAgent({ wrapper }, async (agent) => {
      assert.equal(await agent.ask(`mapped.test ${port} no-ssl backend.test\n`), "up\n");
      await eventually("one connection to stay", () => agent.socketsTo(port) === 1);
    });
  },
);

testWithOwnNetwork(
  "a port where nobody listens refuses each check, also one whose connection the kernel makes to itself",
  {},
  FEW_PORTS,
  async ({ wrapper }) => {
    const ports = { port: freePort(), metricsPort: freePort() };
    await using _doors = await openDoors(wrapper, Object.values(ports));
    await withAgent({ ...ports, wrapper, flags: ["--reply-reason", "true"] }, async (agent) => {
      using client = await agent.connect();
      for (
        const [port, flag] of [[20_041, "no-ssl"], [20_042, "no-ssl"], [20_043, "ssl"], [
          20_044,
          "ssl",
        ]] as const
      ) {
        const replies = new Set<string>();
        for (let nth = 0; nth < 200; nth++) {
          replies.add(await client.ask(`127.0.0.1 ${port} ${flag} a.test\n`));
        }
        const refused = `down #backend_unreachable: connect ECONNREFUSED 127.0.0.1:${port}\n`;
        assert.deepEqual([...replies], [refused]);
      }
    });
  },
);
