import assert from "node:assert/strict";
import { startAgent } from "../../lab/agent/agent_process.ts";
import { LONG_DEADLINES } from "../../lab/agent/agent_process.ts";
import type {
  HealthBackend,
  HealthBackendOptions,
} from "../../lab/backends/libraries/health_backend.ts";
import {
  startGoBackend,
  startJavaBackend,
  startRustBackend,
  testWithGo,
  testWithJava,
  testWithRust,
} from "../../lab/backends/libraries/library_backends.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";

/** Libraries that servers are made with, each a server process. */
const LIBRARIES = [
  { name: "grpc-go", test: testWithGo, start: startGoBackend },
  { name: "grpc-java", test: testWithJava, start: startJavaBackend },
  { name: "tonic", test: testWithRust, start: startRustBackend },
];

/** A JVM takes its time for the first call of its life. */
const FLAGS = [...LONG_DEADLINES, "--reply-reason", "true"];

type Start = (options?: HealthBackendOptions) => Promise<HealthBackend>;

const CASES: Record<string, (start: Start) => Promise<void>> = {
  async "statuses and errors are told as they are"(start) {
    await using backend = await start({ services: { "": "SERVING", "off": "NOT_SERVING" } });
    await using agent = await startAgent({ flags: FLAGS });
    const ask = (service?: string) =>
      agent.ask(backend.line(service === undefined ? {} : { service }));
    assert.match(await ask(), /^up/);
    assert.match(await ask("off"), /^down/);
    assert.match(await ask("unknown"), /^down/);
    await backend.setError("", 14, "too busy");
    assert.match(await ask(), /^down.*too busy/);
    await backend.setStatus("", 999);
    assert.match(await ask(), /^down/);
    await backend.setStatus("", "SERVING");
    assert.equal(await ask(), "up\n");
  },

  async "connections that are closed for their age cost no answer"(start) {
    await using backend = await start({ maxConnectionAgeMs: 150, maxConnectionAgeGraceMs: 50 });
    await using agent = await startAgent({ flags: FLAGS });
    for (let connections = 0; connections < 4;) {
      assert.equal(await agent.ask(backend.line()), "up\n");
      ({ connections } = await backend.report());
    }
  },

  async "many slow calls at once do not ping more than a server allows"(start) {
    await using backend = await start();
    await using agent = await startAgent({ flags: [...FLAGS, "--coalesce-checks", "false"] });
    assert.equal(await agent.ask(backend.line()), "up\n");
    await backend.setDelay(1000);
    for (let round = 0; round < 3; round++) {
      const asked = Array.from({ length: 8 }, () => agent.ask(backend.line()));
      assert.deepEqual(new Set(await Promise.all(asked)), new Set(["up\n"]));
    }
    // At the third ping without an answer between a server ends the connection.
    const closed = 'haproxy_grpc_agent_backend_connections_closed_total{reason="peer"}';
    assert.equal((await agent.metrics()).get(closed), 0);
  },

  async "a server that closes politely is down, and up as soon as it has started again"(start) {
    await using backend = await start();
    await using agent = await startAgent({ flags: FLAGS });
    assert.equal(await agent.ask(backend.line()), "up\n");
    await backend.close();
    assert.match(await agent.ask(backend.line()), /^down/);
    await backend.start();
    assert.equal(await agent.ask(backend.line()), "up\n");
  },

  async "TLS with a client certificate"(start) {
    await using authority = await CertificateAuthority.create();
    const server = await authority.issueServer();
    const client = await authority.issue("agent", { use: "client" });
    await using backend = await start({ tls: { ...server, clientCa: authority.caFile } });
    const trust = [...FLAGS, "--tls-ca-file", authority.caFile];
    const flags = [...trust, "--tls-cert-file", client.cert, "--tls-key-file", client.key];
    await using agent = await startAgent({ flags });
    assert.equal(await agent.ask(backend.line()), "up\n");
    await using stranger = await startAgent({ flags: trust });
    assert.match(await stranger.ask(backend.line()), /^down/);
  },
};

for (const { name, test, start } of LIBRARIES) {
  for (const [what, run] of Object.entries(CASES)) {
    await test(`${name}: ${what}`, () => run(start));
  }
}
