// Connections that break at any byte of what a backend sends: in a TLS flight, in HTTP/2's SETTINGS, in
// the head, the message or the trailers of an answer.

import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import {
  type StartBackend,
  startGoBackend,
  startPythonBackend,
  testWithBackends,
  testWithGo,
} from "../lab/backends/libraries/library_backends.ts";
import {
  type Cut,
  CuttingProxy,
  everywhereIn,
  GARBAGE_RECORD,
  type Place,
} from "../lab/backends/peers/cutting_proxy.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { sideBySide } from "../lab/testing/side_by_side.ts";

/** Peers that close have time to be seen closing on a busy machine. */
const DEADLINES = [
  ...["--grpc-connect-timeout", "1000", "--grpc-rpc-timeout", "1200", "--check-timeout", "1500"],
];

/** How long a check of a peer that falls silent may take, which it does, in milliseconds. */
const SILENCE_MS = 600;

/** HAProxy drops what comes later: its default agent-inter. */
const CONTRACT_MS = 2000;

/** Connections that are cut at the same time: one that is silent waits for a deadline and does no work. */
const AT_ONCE = 8;

/** What a check of a connection that is cut may come to. */
const ERRORS: Readonly<Record<Cut, readonly string[]>> = {
  silence: ["timeout"],
  close: ["backend_unreachable", "tls", "rpc"],
  reset: ["backend_unreachable", "tls", "rpc"],
  garbage: ["tls"],
};

/** The frame that C core's server sends behind an answer. */
const WINDOW_UPDATE_BYTES = 13;

const MODES = {
  "with an RPC per check": ["--coalesce-checks", "false"],
  "with shared RPCs": [],
};

/** A backend, and how it is asked. */
interface Target {
  readonly agent: AgentProcess;
  readonly port: number;
  readonly ssl: boolean;
}

async function withTarget(
  start: StartBackend,
  flags: readonly string[],
  ssl: boolean,
  test: (target: Target) => Promise<void>,
): Promise<void> {
  await using authority = await CertificateAuthority.create();
  const certificate = await authority.issueServer("a.test");
  await using backend = await start(ssl ? { tls: certificate } : {});
  const { port } = backend;
  const options = {
    flags: ["--reply-reason", "true", "--tls-ca-file", authority.caFile, ...flags],
  };
  await withAgent(options, (agent) => test({ agent, port, ssl }));
}

/** What a backend sends on one connection, in bytes. */
interface Sent {
  /** Until its first answer is there. */
  readonly first: number;
  /** Where the flights begin of which the first consists. */
  readonly flights: readonly number[];
  /** From there to the next answer, and so on; PINGs come with some. */
  readonly later: readonly number[];
}

async function sentBy(target: Target): Promise<Sent> {
  await using proxy = await CuttingProxy.start(target.port);
  const ask = async () => {
    const before = proxy.sent;
    assert.equal(await target.agent.ask(lineFor(proxy, target)), "up\n");
    return proxy.sent - before;
  };
  const first = await ask();
  const flights = [...proxy.flights];
  return { first, flights, later: [await ask(), await ask(), await ask()] };
}

function lineFor(proxy: CuttingProxy, { ssl }: Target): string {
  return `127.0.0.1 ${proxy.port} ${ssl ? "ssl" : "no-ssl"} a.test\n`;
}

/** @param says what the replies must say besides */
async function cutFirst(target: Target, { after, by }: Place, says = /^/) {
  await using proxy = await CuttingProxy.start(target.port);
  const { agent } = target;
  const line = lineFor(proxy, target);
  const where = `${by} after ${after} bytes`;
  const cutLine = by === "silence" ? line.replace("\n", ` timeout=${SILENCE_MS}\n`) : line;
  proxy.cut(after, by);
  for (const time of ["first", "second"]) {
    const { reply, ms } = await agent.askTimed(cutLine);
    assert.ok(ms < CONTRACT_MS, `${where}: the ${time} check took ${Math.round(ms)} ms`);
    const [, error = reply] = /^down #(\w+):/.exec(reply) ?? [];
    assert.ok(ERRORS[by].includes(error), `${where}: the ${time} check gave ${reply}`);
    assert.match(reply, says, where);
  }
  proxy.heal();
  assert.equal(await agent.ask(line), "up\n", `${where}: the check after it`);
  assert.equal(await agent.ask(line), "up\n", `${where}: on the kept connection`);
}

/** The first answer of a connection is whole, that of the next check is cut; a new connection is whole. */
async function cutLater(target: Target, { after, by }: Place) {
  await using proxy = await CuttingProxy.start(target.port);
  const { agent } = target;
  const line = lineFor(proxy, target);
  const where = `${by} after ${after} bytes`;
  assert.equal(await agent.ask(line), "up\n", `${where}: on a new connection`);
  proxy.cutKept(after, by);
  assert.equal(await agent.ask(line), "up\n", `${where}: the check whose answer is cut`);
  assert.equal(proxy.connections, 2, `${where}: connections`);
  assert.equal(await agent.ask(line), "up\n", `${where}: the check after it`);
  assert.equal(proxy.connections, 2, `${where}: connections after it`);
}

for (const ssl of [false, true]) {
  const how = ssl ? "TLS" : "plain";

  for (const [mode, flags] of Object.entries(MODES)) {
    testWithBackends(
      `an answer cut at any place is down in time, and up when it is whole again: ${how} ${mode}`,
      async (start) => {
        await withTarget(start, [...DEADLINES, ...flags], ssl, async (target) => {
          const { first } = await sentBy(target);
          await sideBySide(everywhereIn(first), AT_ONCE, (place) => cutFirst(target, place));
        });
      },
    );
  }

  testWithBackends(
    `a later answer cut at any place of its connection costs no down: ${how}`,
    async (start) => {
      // An RPC may take all of a check's time here: who waits for it to end has none left for another.
      const deadlines = ["--grpc-rpc-timeout", "1500", "--check-timeout", "1500"];
      await withTarget(start, deadlines, ssl, async (target) => {
        const { later } = await sentBy(target);
        const behind = start === startPythonBackend ? WINDOW_UPDATE_BYTES : 0;
        const places = everywhereIn(Math.min(...later) - behind);
        await sideBySide(places, AT_ONCE, (place) => cutLater(target, place));
      });
    },
  );
}

testWithGo(
  "a backend that stalls in any flight of TLS 1.2 is down in time, and up when it goes on",
  async () => {
    const start: StartBackend = (options) => startGoBackend({ ...options, tls12: true });
    await withTarget(start, DEADLINES, true, async (target) => {
      const { first, flights } = await sentBy(target);
      for (const [index, begin] of flights.entries()) {
        const middle = Math.floor((begin + (flights[index + 1] ?? first)) / 2);
        const places = [begin, middle].map((after) => ({ after, by: "silence" }) as const);
        // The server's first two are the handshake's.
        const says = index < 2 ? /TLS handshake/ : /timeout/;
        await sideBySide(places, AT_ONCE, (place) => cutFirst(target, place, says));
      }
    });
  },
);

testWithBackends(
  "a kept connection whose TLS cannot be read any more costs no down, and no wait",
  async (start) => {
    await withTarget(start, [], true, async (target) => {
      await cutLater(target, { after: 0, by: "garbage" });
      const metrics = await target.agent.metrics();
      assert.equal(metrics.get("haproxy_grpc_agent_hedged_calls_total"), 0);
    });
  },
);

testWithBackends(
  "a kept connection that ends with an alert of TLS costs no down",
  async (start) => {
    await withTarget(start, [], true, async (target) => {
      await using proxy = await CuttingProxy.start(target.port);
      const { agent } = target;
      const line = lineFor(proxy, target);
      for (let connections = 1; connections <= 3; connections++) {
        assert.equal(await agent.ask(line), "up\n");
        assert.equal(proxy.connections, connections);
        proxy.insertIntoKept(GARBAGE_RECORD);
      }
    });
  },
);
