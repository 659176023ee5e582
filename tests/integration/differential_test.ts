// The agent's verdict, by its own client and by grpc-js, beside that of an independent one, gRPC's C core:
// `up` where that one is told SERVING in time and nowhere else, and otherwise the same reason.

import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { type HealthStatus, startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import {
  startGoBackend,
  startPythonBackend,
  testWithPython,
} from "../lab/backends/libraries/library_backends.ts";
import { CuttingProxy, everywhereIn } from "../lab/backends/peers/cutting_proxy.ts";
import { CONNECTION_FAULTS, type Fault, HTTP2_FAULTS } from "../lab/backends/peers/faulty_peers.ts";
import { goingAway, POLITE_WAYS, type PoliteWay } from "../lab/backends/peers/polite_peers.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import {
  type ClientCheck,
  type ClientOutcome,
  PythonClient,
} from "../lab/clients/python_client.ts";
import { sideBySide } from "../lab/testing/side_by_side.ts";

/** A check's deadline here, in milliseconds, for both. */
const TIMEOUT_MS = 900;

/** The same where nothing waits for it: a first TLS handshake, or some connections after each other. */
const LONG_TIMEOUT_MS = 1700;

/** Connections that are cut at the same time: one that is silent waits for a deadline and does no work. */
const AT_ONCE = 8;

type Check = Omit<ClientCheck, "timeoutMs"> & { timeoutMs?: number };

const CLIENTS = ["native", "grpc-js"] as const;
type Client = (typeof CLIENTS)[number];

/** What a client may say where C core says something else, by the fault. */
type Differences = Readonly<Record<string, readonly string[]>>;

/** What either client may say in other words, and why. */
const COMMON: Differences = {
  // The agent counts what ends a TLS handshake as `tls`; to C core a closed socket is one in any phase.
  "a backend that closes at once where TLS is asked for": ["tls"],
  // The agent refuses a message by its length; C core waits for it, or for its window to overflow.
  "a backend that sends a message of a hundred megabytes": ["rpc: RESOURCE_EXHAUSTED"],
  "a backend that announces a message of two gigabytes": ["rpc: RESOURCE_EXHAUSTED"],
};

const DIFFERENCES: Readonly<Record<Client, Differences>> = {
  "native": {
    ...COMMON,
    // No status but that of gRPC's own answer counts. C core goes by the other header fields.
    "a backend that calls a good answer text/plain": ["rpc: UNKNOWN"],
    // INTERNAL for an answer that gRPC does not allow, with what is wrong with it.
    "a backend that sends header fields that do not decode": ["rpc: INTERNAL"],
    "a backend that ends the call with OK in trailers only": ["rpc: INTERNAL"],
    "a backend that ends the call with OK and no message": ["rpc: INTERNAL"],
    // It sees at once that the answer has more bytes than a message; C core waits for the end of the call.
    "a backend that sends two messages": ["rpc: RESOURCE_EXHAUSTED"],
    // It breaks with a peer that floods it when it has read so much: on a busy machine that takes most of a
    // check's time here.
    "a backend that sends informational headers without end": ["backend_unreachable", "timeout"],
    "a backend that acknowledges PINGs that nobody sent, without end": [
      ...["backend_unreachable", "timeout"],
    ],
  },
  "grpc-js": {
    ...COMMON,
    // Deno's HTTP/2 does not tell grpc-js of every peer at once that does not speak it.
    "a backend that speaks SSH": ["backend_unreachable", "timeout"],
    "a backend that sends garbage": ["backend_unreachable", "timeout"],
    // grpc-js loses the session while it begins the call, and which of them it sees first is chance.
    "a backend that sends SETTINGS and GOAWAY in one segment": [
      ...["rpc: CANCELLED", "rpc: INTERNAL", "rpc: UNAVAILABLE", "backend_unreachable"],
    ],
    // grpc-js has only a stream that was cancelled; C core has UNKNOWN.
    "a backend that sends header fields that do not decode": ["rpc: CANCELLED"],
    // grpc-js reads the page as a message, with a length of 500 MB, before it looks at the HTTP status.
    "a backend that answers 404 with a page": ["rpc: RESOURCE_EXHAUSTED"],
    "a backend that answers 200 with a page": ["rpc: RESOURCE_EXHAUSTED"],
    "a backend that answers 502 with a page": ["rpc: RESOURCE_EXHAUSTED"],
    // gRPC has UNIMPLEMENTED for a call that lacks its message; C core leaves that to who reads it.
    "a backend that ends the call with OK in trailers only": ["rpc: UNIMPLEMENTED"],
    "a backend that ends the call with OK and no message": ["rpc: UNIMPLEMENTED"],
  },
};

/** An agent, and the client that it uses. */
interface Asked {
  readonly agent: AgentProcess;
  readonly grpcClient: Client;
}

async function withClient(
  grpcClient: Client,
  flags: readonly string[],
  test: (asked: Asked) => Promise<void>,
): Promise<void> {
  const all = [
    ...["--reply-reason", "true", "--grpc-client", grpcClient],
    // As long as a check: the first TLS connection of an agent takes it some time on a busy machine.
    ...["--grpc-connect-timeout", `${LONG_TIMEOUT_MS}`, ...flags],
  ];
  await withAgent({ flags: all }, (agent) => test({ agent, grpcClient }));
}

/**
 * @param also what the agent may say instead
 * @returns what both came to, in the agent's words
 */
async function assertSame(
  { agent, grpcClient }: Asked,
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
  const allowed = DIFFERENCES[grpcClient][what] ?? [word, ...also];
  assert.ok(allowed.includes(ours), both);
  if (word !== "up") assert.notEqual(ours, "up", both);
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

/** Runs a test with each of the agent's clients. */
function testEachClient(name: string, test: (grpcClient: Client) => Promise<void>): void {
  for (const client of CLIENTS) testWithPython(`${name} (${client})`, () => test(client));
}

testEachClient(
  "a faulty backend is for the agent what it is for gRPC's C core",
  async (grpcClient) => {
    await using authority = await CertificateAuthority.create();
    await using client = new PythonClient();
    await using healthy = goingAway(5);
    await withClient(grpcClient, [], async (asked) => {
      const compare = async ({ name, ssl = false, outcome, start }: Fault) => {
        await using peer = await start();
        await assertSame(asked, client, `a backend that ${name}`, {
          ...{ port: peer.port, authority: "backend.test" },
          timeoutMs: outcome === "timeout" ? TIMEOUT_MS : LONG_TIMEOUT_MS,
          ...ssl ? { ca: authority.caFile } : {},
        });
      };
      const all = [...CONNECTION_FAULTS, ...HTTP2_FAULTS];
      // grpc-js reads what floods it, and the agent does little else meanwhile.
      const isFlood = ({ name }: Fault) => /without end|hundred megabytes/.test(name);
      const faults = grpcClient === "native" ? all : all.filter((fault) => !isFlood(fault));
      for (let at = 0; at < faults.length; at += 6) {
        await Promise.all(faults.slice(at, at + 6).map(compare));
        const check = { port: healthy.port, authority: "backend.test" };
        assert.equal(await assertSame(asked, client, "a healthy backend", check), "up");
      }
    });
  },
);

testEachClient(
  "a polite backend is up for the agent as it is for gRPC's C core",
  async (grpcClient) => {
    await using client = new PythonClient();
    await withClient(grpcClient, [], async (asked) => {
      const compare = async ({ name, start }: PoliteWay) => {
        await using peer = start();
        // The slowest answers after 700 ms, and is to be up.
        const check = { port: peer.port, authority: "backend.test", timeoutMs: LONG_TIMEOUT_MS };
        for (let nth = 1; nth <= 5; nth++) {
          assert.equal(
            await assertSame(asked, client, `${nth}: a backend that ${name}`, check),
            "up",
          );
        }
      };
      await Promise.all(POLITE_WAYS.map(compare));
    });
  },
);

for (const ssl of [false, true]) {
  const what = `an answer that is cut is for the agent what it is for gRPC's C core: ${
    ssl ? "TLS" : "plain"
  }`;
  testEachClient(what, async (grpcClient) => {
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issueServer("a.test");
    await using backend = await startHealthBackend(ssl ? { tls } : {});
    await using client = new PythonClient();
    const flags = ["--tls-ca-file", authority.caFile];
    await withClient(grpcClient, flags, async (asked) => {
      const checkOf = ({ port }: CuttingProxy) => ({
        ...{ port, authority: "a.test", timeoutMs: LONG_TIMEOUT_MS },
        ...ssl ? { ca: authority.caFile } : {},
      });
      await using whole = await CuttingProxy.start(backend.port);
      const check = checkOf(whole);
      assert.equal(await assertSame(asked, client, "a whole answer", check), "up");
      await sideBySide(everywhereIn(whole.sent / 2), AT_ONCE, async ({ after, by }) => {
        await using proxy = await CuttingProxy.start(backend.port);
        proxy.cut(after, by);
        const where = `${by} after ${after} bytes`;
        // It may be the TLS handshake that is cut, which is a closed socket to C core. To ask again, as the
        // agent does, takes some handshakes, on a busy machine all of the time.
        const also = ssl && by !== "silence" ? ["tls", "timeout"] : [];
        const timeoutMs = by === "silence" ? TIMEOUT_MS : LONG_TIMEOUT_MS;
        await assertSame(asked, client, where, { ...checkOf(proxy), timeoutMs }, also);
        proxy.heal();
        assert.equal(await assertSame(asked, client, `${where}, healed`, checkOf(proxy)), "up");
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
  testEachClient(
    `what a ${backendName} backend says is for the agent what it is for gRPC's C core`,
    async (grpcClient) => {
      await using backend = await start({ services: { "": "SERVING", "a.B": "SERVING" } });
      await using client = new PythonClient();
      await withClient(grpcClient, [], async (asked) => {
        const check = { port: backend.port, authority: "a.test" };
        for (const status of STATUSES) {
          await backend.setStatus("a.B", status);
          await assertSame(asked, client, `${status}`, { ...check, service: "a.B" });
        }
        for (const code of CODES) {
          await backend.setError("a.B", code);
          await assertSame(asked, client, `code ${code}`, { ...check, service: "a.B" });
        }
        await assertSame(asked, client, "an unknown service", { ...check, service: "c.D" });
        await assertSame(asked, client, "the server as a whole", check);
        await backend.freeze();
        await assertSame(asked, client, "frozen", check);
        await backend.thaw();
        await assertSame(asked, client, "thawed", check);
        await backend.kill();
        await assertSame(asked, client, "killed", check);
        await backend.restart();
        await assertSame(asked, client, "started again", check);
      });
    },
  );

  testEachClient(
    `the certificate of a ${backendName} backend is judged as gRPC's C core judges it`,
    async (grpcClient) => {
      await using authority = await CertificateAuthority.create();
      await using stranger = await CertificateAuthority.create();
      await using client = new PythonClient();
      const flags = ["--tls-ca-file", authority.caFile];
      await withClient(grpcClient, flags, async (asked) => {
        for (
          const [what, files] of [
            ["the right name", await authority.issueServer("a.test")],
            ["a wildcard", await authority.issue("a.test", { names: ["*.test"] })],
            ["another name", await authority.issueServer("b.test")],
            ["expired", await authority.issue("a.test", { names: ["a.test"], expired: true })],
            ["an unknown authority", await stranger.issueServer("a.test")],
          ] as const
        ) {
          await using backend = await start({ tls: files });
          const { port } = backend;
          const timeoutMs = LONG_TIMEOUT_MS;
          const check = { port, authority: "a.test", ca: authority.caFile, timeoutMs };
          await assertSame(asked, client, what, check);
        }
      });
    },
  );
}
