// The agent's verdict beside that of an independent client, gRPC's C core: `up` where that one is told
// SERVING in time and nowhere else, and otherwise the same reason.

import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent.ts";
import { CertificateAuthority } from "../lab/certificates.ts";
import { atEachPlace, everywhereIn } from "../lab/cut_places.ts";
import { CuttingProxy } from "../lab/cutting_proxy.ts";
import { CONNECTION_FAULTS, type Fault, goingAway, HTTP2_FAULTS } from "../lab/faulty_peers.ts";
import { startGoBackend } from "../lab/go_backend.ts";
import { type HealthStatus, startHealthBackend } from "../lab/health_backend.ts";
import { POLITE_WAYS, type PoliteWay } from "../lab/polite_peers.ts";
import { startPythonBackend, testWithPython } from "../lab/python_backend.ts";
import { type ClientCheck, type ClientOutcome, PythonClient } from "../lab/python_client.ts";
import { withAgent } from "../lab/with_agent.ts";

/** A check's deadline here, in milliseconds, for both. */
const TIMEOUT_MS = 900;

type Check = Omit<ClientCheck, "timeoutMs"> & { timeoutMs?: number };

/** What the agent says in other words, and why. */
const DIFFERENCES: Readonly<Record<string, readonly string[]>> = {
  // The agent counts what ends a TLS handshake as `tls`; to C core a closed socket is one in any phase.
  "a backend that closes at once where TLS is asked for": ["tls"],
  // grpc-js loses the session while it begins the call, and which of the two it sees first is chance.
  "a backend that sends SETTINGS and GOAWAY in one segment": ["rpc: CANCELLED", "rpc: INTERNAL"],
  // grpc-js has only a stream that was cancelled; C core has UNKNOWN.
  "a backend that sends header fields that do not decode": ["rpc: CANCELLED"],
  // grpc-js reads the page as a message, with a length of 500 MB, before it looks at the HTTP status.
  "a backend that answers 404 with a page": ["rpc: RESOURCE_EXHAUSTED"],
  "a backend that answers 200 with a page": ["rpc: RESOURCE_EXHAUSTED"],
  "a backend that answers 502 with a page": ["rpc: RESOURCE_EXHAUSTED"],
  // gRPC has UNIMPLEMENTED for a call that lacks its message; C core leaves that to who reads it.
  "a backend that ends the call with OK in trailers only": ["rpc: UNIMPLEMENTED"],
  "a backend that ends the call with OK and no message": ["rpc: UNIMPLEMENTED"],
  // The agent refuses a message by its length; C core waits for it, or for its window to overflow.
  "a backend that sends a message of a hundred megabytes": ["rpc: RESOURCE_EXHAUSTED"],
  "a backend that announces a message of two gigabytes": ["rpc: RESOURCE_EXHAUSTED"],
  // The agent breaks with a peer that floods it, when it has read so much: on a busy machine that takes
  // most of a check's time here.
  "a backend that sends informational headers without end": ["backend_unreachable", "timeout"],
  "a backend that acknowledges PINGs that nobody sent, without end": [
    ...["backend_unreachable", "timeout"],
  ],
};

/**
 * @param also what the agent may say instead
 * @returns what both came to, in the agent's words
 */
async function assertSame(
  agent: AgentProcess,
  client: PythonClient,
  what: string,
  check: Check,
  also: readonly string[] = [],
): Promise<string> {
  const { port, authority, ca, service = "", timeoutMs = TIMEOUT_MS } = check;
  const options = `timeout=${timeoutMs}${service === "" ? "" : ` service=${service}`}`;
  const line = `127.0.0.1 ${port} ${ca ? "ssl" : "no-ssl"} ${authority} ${options}\n`;
  const [reply, theirs] = await Promise.all([
    agent.ask(line),
    client.check({ ...check, timeoutMs }),
  ]);
  const [ours, word] = [wordOf(reply), wordFor(theirs)];
  const both = `${what}: ${reply}against ${JSON.stringify(theirs)}`;
  assert.equal(ours === "up", word === "up", both);
  assert.ok((DIFFERENCES[what] ?? [word, ...also]).includes(ours), both);
  return ours;
}

/** A reply without what only people read. */
function wordOf(reply: string): string {
  const [, up, code, word] = /^(?:(up)|down #(?:(rpc: \w+)|(\w+))).*\n$/.exec(reply) ?? [];
  return up ?? code ?? word ?? reply;
}

/** C core's words for a connection that is not made, or breaks: its own or the system's. */
const LOST_CONNECTION =
  /^failed to connect |^Socket closed$|(Connection reset by peer|Broken pipe)$/;

const STATUS_NAMES = ["UNKNOWN", "up", "NOT_SERVING", "SERVICE_UNKNOWN"];

/** What the agent says, unless it differs, where gRPC's C core comes to this. */
function wordFor({ status, code, details }: ClientOutcome): string {
  if (code === undefined) return STATUS_NAMES[status] ?? String(status);
  // The codes may be the backend's: the words are C core's own.
  if (code === "DEADLINE_EXCEEDED" && details === "Deadline Exceeded") return "timeout";
  if (code === "UNAVAILABLE") {
    if (/^failed to connect .*(Ssl handshake|peer certificate)/.test(details)) return "tls";
    if (LOST_CONNECTION.test(details)) return "backend_unreachable";
  }
  return `rpc: ${code}`;
}

testWithPython("a faulty backend is for the agent what it is for gRPC's C core", async () => {
  await using authority = await CertificateAuthority.create();
  await using client = new PythonClient();
  await using healthy = goingAway(5);
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
      const check = { port: healthy.port, authority: "backend.test" };
      assert.equal(await assertSame(agent, client, "a healthy backend", check), "up");
    }
  });
});

testWithPython("a polite backend is up for the agent as it is for gRPC's C core", async () => {
  await using client = new PythonClient();
  await withAgent({ flags: ["--reply-reason", "true"] }, async (agent) => {
    const compare = async ({ name, start }: PoliteWay) => {
      await using peer = start();
      // The slowest answers after 700 ms, and is to be up.
      const check = { port: peer.port, authority: "backend.test", timeoutMs: 1700 };
      for (let nth = 1; nth <= 5; nth++) {
        assert.equal(
          await assertSame(agent, client, `${nth}: a backend that ${name}`, check),
          "up",
        );
      }
    };
    await Promise.all(POLITE_WAYS.map(compare));
  });
});

for (const ssl of [false, true]) {
  const what = `an answer that is cut is for the agent what it is for gRPC's C core: ${
    ssl ? "TLS" : "plain"
  }`;
  testWithPython(what, async () => {
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issue("a.test", { names: ["a.test"] });
    await using backend = await startHealthBackend(ssl ? { tls } : {});
    await using client = new PythonClient();
    const flags = ["--reply-reason", "true", "--tls-ca-file", authority.caFile];
    await withAgent({ flags }, async (agent) => {
      const checkOf = ({ port }: CuttingProxy) => ({
        ...{ port, authority: "a.test" },
        ...ssl ? { ca: authority.caFile } : {},
      });
      await using whole = await CuttingProxy.start(backend.port);
      const check = checkOf(whole);
      assert.equal(await assertSame(agent, client, "a whole answer", check), "up");
      await atEachPlace(everywhereIn(whole.sent / 2), async ({ after, by }) => {
        await using proxy = await CuttingProxy.start(backend.port);
        proxy.cut(after, by);
        const where = `${by} after ${after} bytes`;
        // It may be the TLS handshake that is cut, which is a closed socket to C core.
        const also = ssl && by !== "silence" ? ["tls"] : [];
        await assertSame(agent, client, where, checkOf(proxy), also);
        proxy.heal();
        assert.equal(await assertSame(agent, client, `${where}, healed`, checkOf(proxy)), "up");
      });
    });
  });
}

const STATUSES: HealthStatus[] = [
  ...["SERVING", "NOT_SERVING", "UNKNOWN", "SERVICE_UNKNOWN"] as const,
  ...[4, 99, 999],
];
const CODES = Array.from({ length: 16 }, (_, index) => index + 1);

for (
  const [backendName, start] of [
    ["grpc-js", startHealthBackend],
    ["C core", startPythonBackend],
    ["Go", startGoBackend],
  ] as const
) {
  testWithPython(
    `what a ${backendName} backend says is for the agent what it is for gRPC's C core`,
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
