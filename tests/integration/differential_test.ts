// The agent's verdict beside that of an independent client, gRPC's C core: `up` where that one is told
// SERVING in time, and nowhere else.

import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent.ts";
import { CertificateAuthority } from "../lab/certificates.ts";
import { CONNECTION_FAULTS, type Fault, HTTP2_FAULTS } from "../lab/faulty_peers.ts";
import { startGoBackend } from "../lab/go_backend.ts";
import { type HealthStatus, startHealthBackend } from "../lab/health_backend.ts";
import { startPythonBackend, testWithPython } from "../lab/python_backend.ts";
import { type ClientCheck, PythonClient } from "../lab/python_client.ts";
import { withAgent } from "../lab/with_agent.ts";

/** A check's deadline here, in milliseconds, for both. */
const TIMEOUT_MS = 900;

async function assertSame(
  agent: AgentProcess,
  client: PythonClient,
  what: string,
  check: Omit<ClientCheck, "timeoutMs">,
): Promise<void> {
  const { port, authority, ca, service = "" } = check;
  const options = `timeout=${TIMEOUT_MS}${service === "" ? "" : ` service=${service}`}`;
  const line = `127.0.0.1 ${port} ${ca ? "ssl" : "no-ssl"} ${authority} ${options}\n`;
  const reply = await agent.ask(line);
  const theirs = await client.check({ ...check, timeoutMs: TIMEOUT_MS });
  assert.equal(reply.startsWith("up"), theirs === "up", `${what}: ${reply}against ${theirs}`);
}

testWithPython("a faulty backend is down for the agent where it is for gRPC's C core", async () => {
  await using authority = await CertificateAuthority.create();
  await using client = new PythonClient();
  await withAgent({ flags: ["--reply-reason", "true"] }, async (agent) => {
    const compare = async ({ name, ssl = false, start }: Fault) => {
      await using peer = await start();
      await assertSame(agent, client, `a backend that ${name}`, {
        ...{ port: peer.port, authority: "backend.test" },
        ...ssl ? { ca: authority.caFile } : {},
      });
    };
    const faults = [...CONNECTION_FAULTS, ...HTTP2_FAULTS];
    for (let at = 0; at < faults.length; at += 6) {
      await Promise.all(faults.slice(at, at + 6).map(compare));
    }
  });
});

const STATUSES: HealthStatus[] = [
  ...["SERVING", "NOT_SERVING", "UNKNOWN", "SERVICE_UNKNOWN"] as const,
  ...[4, 99, 999],
];
const CODES = [1, 2, 3, 5, 7, 8, 12, 13, 14, 16];

for (
  const [backendName, start] of [
    ["grpc-js", startHealthBackend],
    ["C core", startPythonBackend],
    ["Go", startGoBackend],
  ] as const
) {
  testWithPython(
    `what a ${backendName} backend says is up for the agent where it is for gRPC's C core`,
    async () => {
      await using backend = await start({ services: { "": "SERVING", "a.B": "SERVING" } });
      await using client = new PythonClient();
      await withAgent({ flags: ["--reply-reason", "true"] }, async (agent) => {
        const check = { port: backend.port, authority: "a.test" };
        for (const status of STATUSES) {
          await backend.setStatus("a.B", status);
          await assertSame(agent, client, `${status}`, { ...check, service: "a.B" });
        }
        for (const code of CODES) {
          await backend.setError("a.B", code);
          await assertSame(agent, client, `code ${code}`, { ...check, service: "a.B" });
        }
        await assertSame(agent, client, "an unknown service", { ...check, service: "c.D" });
        await assertSame(agent, client, "the server as a whole", check);
        backend.freeze();
        await assertSame(agent, client, "frozen", check);
        backend.thaw();
        await assertSame(agent, client, "thawed", check);
        await backend.kill();
        await assertSame(agent, client, "killed", check);
        await backend.restart();
        await assertSame(agent, client, "started again", check);
      });
    },
  );

  testWithPython(
    `the certificate of a ${backendName} backend is judged as gRPC's C core judges it`,
    async () => {
      await using authority = await CertificateAuthority.create();
      await using stranger = await CertificateAuthority.create();
      await using client = new PythonClient();
      const flags = ["--reply-reason", "true", "--tls-ca-file", authority.caFile];
      await withAgent({ flags }, async (agent) => {
        for (
          const [what, files] of [
            ["the right name", await authority.issue("a.test", { names: ["a.test"] })],
            ["a wildcard", await authority.issue("a.test", { names: ["*.test"] })],
            ["another name", await authority.issue("b.test", { names: ["b.test"] })],
            ["expired", await authority.issue("a.test", { names: ["a.test"], expired: true })],
            ["an unknown authority", await stranger.issue("a.test", { names: ["a.test"] })],
          ] as const
        ) {
          await using backend = await start({ tls: files });
          const check = { port: backend.port, authority: "a.test", ca: authority.caFile };
          await assertSame(agent, client, what, check);
        }
      });
    },
  );
}
