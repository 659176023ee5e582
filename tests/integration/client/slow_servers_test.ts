// Servers and ways to them that take their time: slow is not down, costs no second call, and what a check
// that gave up has begun serves the next one.

import assert from "node:assert/strict";
import { withAgent } from "../../lab/agent/with_agent.ts";
import type { HealthStatus } from "../../lab/backends/libraries/health_backend.ts";
import { testWithBackends } from "../../lab/backends/libraries/library_backends.ts";
import { ScriptedServer } from "../../lab/backends/peers/scripted_server.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import { testPlainAndTls } from "../../lab/backends/tls/test_plain_and_tls.ts";
import { eventually } from "../../lab/testing/eventually.ts";

const UP = new Set(["up\n"]);

/** What a way takes for a new connection, and the time of a check that is less: 1.5 to 1. */
const NEW_CONNECTION_MS = 600;
const SHORTER = "timeout=400";

const serviceNames = (count: number) =>
  Array.from({ length: count }, (_, index) => `service.N${index}`);

// Each library punishes a client that sends PINGs too often.
testWithBackends(
  "a server that takes 700 ms is up, and 50 checks cost at most 55 RPCs on one connection or two",
  async (start) => {
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issueServer();
    const names = serviceNames(25);
    const services = Object.fromEntries(names.map((name): [string, HealthStatus] => [
      name,
      "SERVING",
    ]));
    await using plain = await start({ services, delayMs: 700 });
    await using secure = await start({ services, delayMs: 700, tls });
    const backends = [plain, secure];
    await withAgent({ flags: ["--tls-ca-file", authority.caFile] }, async (agent) => {
      for (let round = 0; round < 2; round++) {
        const lines = backends.flatMap((backend) =>
          names.map((service) => backend.line({ service }))
        );
        const replies = await Promise.all(lines.map((line) => agent.ask(line)));
        assert.deepEqual(new Set(replies), UP, `Round ${round}`);
      }
      for (const backend of backends) {
        const { checks, connections } = await backend.report();
        assert.ok(checks <= 55, `${checks} RPCs for 50 checks`);
        assert.ok(connections <= 2, `${connections} connections`);
      }
    });
  },
);

Deno.test(
  "a slow server that acknowledges PINGs gets at most one a connection between two answers",
  async () => {
    const names = serviceNames(8);
    await using backend = await ScriptedServer.start({
      answer: async (call) => {
        await call.pause(900);
        await call.serve();
      },
    });
    await withAgent({}, async (agent) => {
      for (let round = 1; round <= 2; round++) {
        const replies = await Promise.all(
          names.map((name) => agent.ask(backend.line({ option: `service=${name}` }))),
        );
        assert.deepEqual(new Set(replies), UP);
        for (const { frames, nth } of backend.connections) {
          const pings = frames.filter(({ type, flags }) => type === 6 && flags === 0).length;
          assert.ok(pings <= round, `Connection ${nth} got ${pings} PINGs in ${round} rounds`);
        }
      }
      assert.deepEqual(backend.violations, []);
    });
  },
);

testPlainAndTls(
  "a way that delays each new connection longer than a check may take is up after the first check",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      acceptDelayMs: NEW_CONNECTION_MS,
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      const line = backend.line({ option: SHORTER });
      await agent.ask(line);
      const [first] = backend.connections;
      assert.ok(first, "No connection was made");
      await first.greeted.promise;
      await eventually("the first connection to be ready", () => first.frames.length > 0);
      assert.equal(await agent.ask(line), "up\n", "Check 2");
      const connections = backend.connections.length;
      for (let nth = 3; nth <= 6; nth++) {
        assert.equal(await agent.ask(line), "up\n", `Check ${nth}`);
      }
      assert.equal(backend.connections.length, connections, "None of these made a connection");
      assert.deepEqual(backend.violations, []);
    });
  },
);

Deno.test("without kept connections, one that came too late serves the next check, once", async () => {
  await using authority = await CertificateAuthority.create();
  const files = await authority.issueServer();
  await using backend = await ScriptedServer.start({
    tls: { ...files, alpn: ["h2"] },
    acceptDelayMs: NEW_CONNECTION_MS,
  });
  const flags = ["--grpc-channel-cache", "false", "--tls-ca-file", authority.caFile];
  await withAgent({ flags }, async (agent) => {
    const line = backend.line({ option: SHORTER });
    for (let round = 0; round < 2; round++) {
      const before = backend.connections.length;
      assert.equal(await agent.ask(line), "down\n", "A new connection comes too late");
      const late = await eventually("the connection", () => backend.connections[before]);
      await late.greeted.promise;
      assert.equal(await agent.ask(line), "up\n", "It is there for the next check");
      await eventually("it to be closed", () => backend.open.length === 0);
    }
  });
});

Deno.test(
  "clients that share a call have deadlines of their own, whoever asked first",
  async () => {
    await using backend = await ScriptedServer.start({
      answer: async (call) => {
        await call.pause(300);
        await call.serve();
      },
    });
    await withAgent({}, async (agent) => {
      assert.equal(await agent.ask(backend.line()), "up\n"); // a connection is there
      const [hasty, patient] = [backend.line({ option: "timeout=100" }), backend.line()];
      for (const lines of [[hasty, patient], [patient, hasty], [hasty, patient, hasty, patient]]) {
        const before = backend.calls.length;
        const replies = await Promise.all(lines.map((line) => agent.ask(line)));
        const expected = lines.map((line) => line === hasty ? "down\n" : "up\n");
        assert.deepEqual(replies, expected);
        assert.ok(backend.calls.length - before <= 2, "They do not share a call");
      }
      assert.deepEqual(backend.violations, []);
    });
  },
);
