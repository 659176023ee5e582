// Connections that break at any byte of what a backend sends: in a TLS flight, in HTTP/2's SETTINGS, in
// the head, the message or the trailers of an answer.

import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent.ts";
import { CertificateAuthority } from "../lab/certificates.ts";
import { type Cut, CuttingProxy } from "../lab/cutting_proxy.ts";
import { type StartBackend, testWithEachBackend } from "../lab/each_backend.ts";
import { startGoBackend, testWithGo } from "../lab/go_backend.ts";
import { withAgent } from "../lab/with_agent.ts";

/** Silent peers take all of these. Their proportions are those of the defaults. */
const DEADLINES = [
  ...["--grpc-connect-timeout", "400", "--grpc-rpc-timeout", "600", "--check-timeout", "800"],
];

/** HAProxy drops what comes later: its default agent-inter. */
const CONTRACT_MS = 2000;

/** In how many places the first answer, and then the second, is cut. */
const PLACES = 8;

/** What a check of a connection that is cut may come to. */
const ERRORS: Readonly<Record<Cut, readonly string[]>> = {
  silence: ["timeout"],
  close: ["backend_unreachable", "tls", "rpc"],
  reset: ["backend_unreachable", "tls", "rpc"],
};

const MODES = {
  "with an RPC per check": ["--coalesce-checks", "false"],
  "with shared RPCs": [],
  "in watch mode": ["--check-mode", "watch"],
};

/** One address, one place, one way to break off. */
interface Place {
  readonly after: number;
  readonly by: Cut;
  /** What the first reply must say besides. */
  readonly reply?: RegExp;
}

/** What a backend sends until its first answer is there, in bytes. */
interface Answers {
  readonly length: number;
  /** Where its flights begin. */
  readonly flights: readonly number[];
}

async function cutAnswers(
  start: StartBackend,
  flags: readonly string[],
  ssl: boolean,
  placesIn: (answers: Answers) => Place[],
): Promise<void> {
  await using authority = await CertificateAuthority.create();
  const certificate = await authority.issue("a.test", { names: ["a.test"] });
  await using backend = await start(ssl ? { tls: certificate } : {});
  const options = {
    flags: [...DEADLINES, "--reply-reason", "true", "--tls-ca-file", authority.caFile, ...flags],
  };
  await withAgent(options, async (agent) => {
    const places = placesIn(await wholeAnswers(agent, backend.port, ssl));
    // At once, but a few at a time: what takes a deadline here waits and does no work.
    for (let at = 0; at < places.length; at += PLACES) {
      const some = places.slice(at, at + PLACES);
      await Promise.all(some.map((place) => cutAt(agent, backend.port, ssl, place)));
    }
  });
}

/** Places that lie equally far apart, and every way to break off. */
function everywhere({ length }: Answers): Place[] {
  return (["silence", "close", "reset"] as const).flatMap((by) =>
    Array.from({ length: PLACES }, (_, index) => ({
      after: Math.floor(length * index / PLACES),
      by,
    }))
  );
}

/** Silence in place of each flight and in its middle. With TLS 1.2 the server's first two are the handshake's. */
function inFlightsOfTls12({ length, flights }: Answers): Place[] {
  return flights.flatMap((begin, index) => {
    const middle = Math.floor((begin + (flights[index + 1] ?? length)) / 2);
    const reply = index < 2 ? /TLS handshake/ : /timeout/;
    return [begin, middle].map((after) => ({ after, by: "silence", reply }) as const);
  });
}

async function cutAt(agent: AgentProcess, backendPort: number, ssl: boolean, place: Place) {
  const { after, by } = place;
  await using proxy = await CuttingProxy.start(backendPort);
  const line = lineFor(proxy.port, ssl);
  const where = `${by} after ${after} bytes`;
  proxy.cut(after, by);
  for (const time of ["first", "second"]) {
    const { reply, ms } = await agent.askTimed(line);
    assert.ok(ms < CONTRACT_MS, `${where}: the ${time} check took ${Math.round(ms)} ms`);
    const [, error = reply] = /^down #(\w+):/.exec(reply) ?? [];
    assert.ok(ERRORS[by].includes(error), `${where}: the ${time} check gave ${reply}`);
    assert.match(reply, place.reply ?? /^/, where);
  }
  proxy.heal();
  assert.equal(await agent.ask(line), "up\n", `${where}: the check after it`);
  assert.equal(await agent.ask(line), "up\n", `${where}: on the kept connection`);
}

async function wholeAnswers(agent: AgentProcess, port: number, ssl: boolean): Promise<Answers> {
  await using proxy = await CuttingProxy.start(port);
  assert.equal(await agent.ask(lineFor(proxy.port, ssl)), "up\n");
  return { length: proxy.sent, flights: proxy.flights };
}

function lineFor(port: number, ssl: boolean): string {
  return `127.0.0.1 ${port} ${ssl ? "ssl" : "no-ssl"} a.test\n`;
}

for (const [mode, flags] of Object.entries(MODES)) {
  for (const ssl of [false, true]) {
    const what = `an answer cut at any place is down in time, and up when it is whole again: ${
      ssl ? "TLS" : "plain"
    } ${mode}`;
    testWithEachBackend(
      (implementation) => `${what}, ${implementation}`,
      (start) => cutAnswers(start, flags, ssl, everywhere),
    );
  }
}

testWithGo(
  "a backend that stalls in any flight of TLS 1.2 is down in time, and up when it goes on",
  () => {
    const start: StartBackend = (options) => startGoBackend({ ...options, tls12: true });
    return cutAnswers(start, [], true, inFlightsOfTls12);
  },
);
