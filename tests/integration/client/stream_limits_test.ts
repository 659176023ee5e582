// Servers that allow few streams on a connection (MAX_CONCURRENT_STREAMS): checks at the same time are all
// answered in time, and no connection carries more than its server allows.

import assert from "node:assert/strict";
import { withAgent } from "../../lab/agent/with_agent.ts";
import { ErrorCode, resetStream, settings } from "../../lab/backends/http2/frames.ts";
import type { HealthStatus } from "../../lab/backends/libraries/health_backend.ts";
import { testWithBackends } from "../../lab/backends/libraries/library_backends.ts";
import { ScriptedServer } from "../../lab/backends/peers/scripted_server.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import { testPlainAndTls } from "../../lab/backends/tls/test_plain_and_tls.ts";

const SERVICES = Array.from({ length: 8 }, (_, index) => `service.N${index}`);
const HANDLER_MS = 600;

const UP = new Set(["up\n"]);

testWithBackends(
  "eight services at once of a server that allows one stream or two, and takes 600 ms, are up",
  async (start) => {
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issueServer();
    const services = Object.fromEntries(
      SERVICES.map((name): [string, HealthStatus] => [name, "SERVING"]),
    );
    await withAgent({ flags: ["--tls-ca-file", authority.caFile] }, async (agent) => {
      for (const maxConcurrentStreams of [1, 2]) {
        const options = { services, maxConcurrentStreams, delayMs: HANDLER_MS };
        await using plain = await start(options);
        await using secure = await start({ ...options, tls });
        const lines = [plain, secure].flatMap((backend) =>
          SERVICES.map((service) => backend.line({ service }))
        );
        // Cold, and once more with what is kept.
        for (const round of ["cold", "warm"]) {
          const replies = await Promise.all(lines.map((line) => agent.ask(line)));
          assert.deepEqual(new Set(replies), UP, `${maxConcurrentStreams} streams, ${round}`);
        }
      }
    });
  },
);

testPlainAndTls(
  "no connection carries more calls than its server allows, also when that changes",
  async ({ flags, server }) => {
    let limit = 100;
    await using backend = await ScriptedServer.start({
      ...server,
      greet: (connection) => connection.send(settings({ MAX_CONCURRENT_STREAMS: limit })),
      answer: async (call) => {
        await call.pause(100);
        await call.serve();
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      const askAll = () =>
        Promise.all(
          SERVICES.map((name) => agent.ask(backend.line({ option: `service=${name}` }))),
        );
      for (const next of [100, 1, 3, 1, 2]) {
        limit = next;
        for (const connection of backend.open) {
          await connection.send(settings({ MAX_CONCURRENT_STREAMS: limit }));
        }
        for (let round = 0; round < 2; round++) assert.deepEqual(new Set(await askAll()), UP);
      }
      assert.deepEqual(backend.violations, []);
    });
  },
);

testPlainAndTls(
  "before its server's SETTINGS a connection carries one call, and then the others fill it",
  async ({ flags, server }) => {
    const callsBefore: number[] = [];
    await using backend = await ScriptedServer.start({
      ...server,
      greet: async (connection) => {
        await connection.pause(200);
        callsBefore.push(connection.calls.length);
        await connection.send(settings());
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      const replies = await Promise.all(
        SERVICES.map((name) => agent.ask(backend.line({ option: `service=${name}` }))),
      );
      assert.deepEqual(new Set(replies), UP);
      assert.ok(Math.max(...callsBefore) <= 1, `${callsBefore} calls before SETTINGS`);
      assert.ok(backend.connections.length <= 2, `${backend.connections.length} connections`);
    });
  },
);

testPlainAndTls(
  "24 services at once of a server that allows one stream share at most 16 connections, and are up",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...{ ...server, settings: { MAX_CONCURRENT_STREAMS: 1 } },
      answer: async (call) => {
        await call.pause(250);
        await call.serve();
      },
    });
    const lines = Array.from(
      { length: 24 },
      (_, index) => backend.line({ option: `service=N${index}` }),
    );
    await withAgent({ flags: [...flags] }, async (agent) => {
      const replies = await Promise.all(lines.map((line) => agent.ask(line)));
      assert.deepEqual(new Set(replies), UP);
      assert.ok(backend.connections.length <= 16, `${backend.connections.length} connections`);
      assert.deepEqual(backend.violations, []);
    });
  },
);

testPlainAndTls(
  "a connection that allows no stream costs no down when the next one does",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      greet: (connection) =>
        connection.send(settings({ MAX_CONCURRENT_STREAMS: connection.nth === 1 ? 0 : 10 })),
      answer: (call) =>
        call.connection.nth === 1
          ? call.send(resetStream(call.streamId, ErrorCode.REFUSED_STREAM))
          : call.serve(),
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      for (let nth = 1; nth <= 3; nth++) assert.equal(await agent.ask(backend.line()), "up\n");
      assert.deepEqual(backend.violations, []);
    });
  },
);

testPlainAndTls(
  "a server that never allows a stream is down in time, after a few calls",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...{ ...server, settings: { MAX_CONCURRENT_STREAMS: 0 } },
      answer: (call) => call.send(resetStream(call.streamId, ErrorCode.REFUSED_STREAM)),
    });
    await withAgent({ flags: [...flags, "--reply-reason", "true"] }, async (agent) => {
      for (const atMost of [4, 2, 2]) {
        const before = backend.connections.length;
        assert.match(await agent.ask(backend.line()), /^down #(rpc|backend_unreachable): /);
        const connections = backend.connections.length - before;
        assert.ok(connections <= atMost, `${connections} connections, allowed are ${atMost}`);
      }
      assert.deepEqual(backend.violations, []);
    });
  },
);

testPlainAndTls(
  "connections that refuse every call but their first cost no down, and none of them stays",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      answer: (call) =>
        call.connection.nth === 1 && call.nthOfConnection > 1
          ? call.send(resetStream(call.streamId, ErrorCode.REFUSED_STREAM))
          : call.serve(),
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      for (let nth = 1; nth <= 24; nth++) assert.equal(await agent.ask(backend.line()), "up\n");
      assert.ok(backend.connections.length <= 3, `${backend.connections.length} connections`);
      assert.deepEqual(backend.violations, []);
    });
  },
);

testPlainAndTls(
  "sixteen kept connections that have gone silent cost no down",
  async ({ flags, server }) => {
    let silent = 0;
    await using backend = await ScriptedServer.start({
      ...{ ...server, settings: { MAX_CONCURRENT_STREAMS: 1 } },
      acknowledges: ({ connection }) => connection > silent,
      answer: async (call) => {
        if (call.connection.nth <= silent) return;
        await call.pause(200);
        await call.serve();
      },
    });
    const lines = Array.from(
      { length: 16 },
      (_, index) => backend.line({ option: `service=N${index} timeout=1000` }),
    );
    await withAgent({ flags: [...flags] }, async (agent) => {
      const askAll = () => Promise.all(lines.map((line) => agent.ask(line)));
      while (backend.open.length < 16) assert.deepEqual(new Set(await askAll()), UP);
      silent = backend.connections.length;
      assert.deepEqual(new Set(await askAll()), UP);
    });
  },
);

testPlainAndTls(
  "a service whose calls end their connections takes no other service down",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      answer: async (call) => {
        await call.pause(20);
        if (call.service === "bad") await call.connection.end();
        else await call.serve();
      },
    });
    const good = ["a", "b"].map((service) => backend.line({ option: `service=${service}` }));
    await withAgent({ flags: [...flags] }, async (agent) => {
      for (let round = 0; round < 6; round++) {
        const [bad, ...others] = await Promise.all(
          [backend.line({ option: "service=bad" }), ...good].map((line) => agent.ask(line)),
        );
        assert.equal(bad, "down\n");
        assert.deepEqual(others, ["up\n", "up\n"], `Round ${round}`);
      }
    });
  },
);
