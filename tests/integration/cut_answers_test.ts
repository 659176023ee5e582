// Connections that break at any byte of what a backend sends: in a TLS flight, in HTTP/2's SETTINGS, in
// the head, the message or the trailers of an answer.

import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent.ts";
import { CertificateAuthority } from "../lab/certificates.ts";
import { atEachPlace, type Place } from "../lab/cut_places.ts";
import { type Cut, CuttingProxy } from "../lab/cutting_proxy.ts";
import { startGoBackend, testWithGo } from "../lab/go_backend.ts";
import { type HealthBackend, startHealthBackend } from "../lab/health_backend.ts";
import { startPythonBackend, testWithPython } from "../lab/python_backend.ts";
import { withAgent } from "../lab/with_agent.ts";

/** Silent peers take all of these. Their proportions are those of the defaults. */
const DEADLINES = [
  ...["--grpc-connect-timeout", "400", "--grpc-rpc-timeout", "600", "--check-timeout", "800"],
];

/** What a check of a connection that is cut may come to. */
const ERRORS: Readonly<Record<Cut, readonly string[]>> = {
  silence: ["timeout"],
  close: ["backend_unreachable", "tls", "rpc"],
  reset: ["backend_unreachable", "tls", "rpc"],
};

/** The frame that C core's server sends behind an answer. */
const WINDOW_UPDATE_BYTES = 13;

const MODES = {
  "with an RPC per check": ["--coalesce-checks", "false"],
  "with shared RPCs": [],
  "in watch mode": ["--check-mode", "watch"],
};

type Start = (options: { tls?: { cert: string; key: string } }) => Promise<HealthBackend>;

async function cutEverywhere(start: Start, flags: readonly string[], ssl: boolean): Promise<void> {
  await using authority = await CertificateAuthority.create();
  const certificate = await authority.issue("a.test", { names: ["a.test"] });
  await using backend = await start(ssl ? { tls: certificate } : {});
  const options = {
    flags: [...DEADLINES, "--reply-reason", "true", "--tls-ca-file", authority.caFile, ...flags],
  };
  await withAgent(options, async (agent) => {
    const [whole = 0] = await lengthsOfAnswers(agent, backend.port, ssl);
    await atEachPlace(whole, (place) => cutAt(agent, backend.port, ssl, place));
  });
}

/** @param behind bytes that the backend may send behind an answer, which is whole without them */
async function cutLaterEverywhere(start: Start, ssl: boolean, behind = 0): Promise<void> {
  await using authority = await CertificateAuthority.create();
  const certificate = await authority.issue("a.test", { names: ["a.test"] });
  await using backend = await start(ssl ? { tls: certificate } : {});
  // An RPC may take all of a check's time here: who waits for it to end has none left for another.
  const deadlines = ["--grpc-rpc-timeout", "1500", "--check-timeout", "1500"];
  const flags = [...deadlines, "--reply-reason", "true", "--tls-ca-file", authority.caFile];
  await withAgent({ flags }, async (agent) => {
    // PINGs come with some.
    const [, ...later] = await lengthsOfAnswers(agent, backend.port, ssl);
    const whole = Math.min(...later) - behind;
    await atEachPlace(whole, (place) => cutLaterAt(agent, backend.port, ssl, place));
  });
}

async function cutAt(agent: AgentProcess, backendPort: number, ssl: boolean, { after, by }: Place) {
  await using proxy = await CuttingProxy.start(backendPort);
  const line = lineFor(proxy.port, ssl);
  const where = `${by} after ${after} bytes`;
  proxy.cut(after, by);
  for (const time of ["first", "second"]) {
    const reply = await agent.ask(line);
    const [, error = reply] = /^down #(\w+):/.exec(reply) ?? [];
    assert.ok(ERRORS[by].includes(error), `${where}: the ${time} check gave ${reply}`);
  }
  proxy.heal();
  assert.equal(await agent.ask(line), "up\n", `${where}: the check after it`);
  assert.equal(await agent.ask(line), "up\n", `${where}: on the kept connection`);
}

/** The first answer of a connection is whole, that of the next check is cut; a new connection is whole. */
async function cutLaterAt(
  agent: AgentProcess,
  backendPort: number,
  ssl: boolean,
  { after, by }: Place,
) {
  await using proxy = await CuttingProxy.start(backendPort);
  const line = lineFor(proxy.port, ssl);
  const where = `${by} after ${after} bytes`;
  assert.equal(await agent.ask(line), "up\n", `${where}: on a new connection`);
  proxy.cutKept(after, by);
  assert.equal(await agent.ask(line), "up\n", `${where}: the check whose answer is cut`);
  assert.equal(proxy.connections, 2, `${where}: connections`);
  assert.equal(await agent.ask(line), "up\n", `${where}: the check after it`);
  assert.equal(proxy.connections, 2, `${where}: connections after it`);
}

/** What the backend sends in bytes until its first answer is there, then until the next, and so on. */
async function lengthsOfAnswers(
  agent: AgentProcess,
  port: number,
  ssl: boolean,
): Promise<number[]> {
  await using proxy = await CuttingProxy.start(port);
  const lengths: number[] = [];
  for (let answer = 0; answer < 4; answer++) {
    const before = proxy.sent;
    assert.equal(await agent.ask(lineFor(proxy.port, ssl)), "up\n");
    lengths.push(proxy.sent - before);
  }
  return lengths;
}

function lineFor(port: number, ssl: boolean): string {
  return `127.0.0.1 ${port} ${ssl ? "ssl" : "no-ssl"} a.test\n`;
}

for (const [mode, flags] of Object.entries(MODES)) {
  for (const ssl of [false, true]) {
    const what = `an answer cut at any place is down in time, and up when it is whole again: ${
      ssl ? "TLS" : "plain"
    } ${mode}`;
    Deno.test(`${what}, grpc-js`, () => cutEverywhere(startHealthBackend, flags, ssl));
    testWithGo(`${what}, Go`, () => cutEverywhere(startGoBackend, flags, ssl));
    testWithPython(`${what}, C core`, () => cutEverywhere(startPythonBackend, flags, ssl));
  }
}

for (const ssl of [false, true]) {
  const what = `a later answer cut at any place of its connection costs no down: ${
    ssl ? "TLS" : "plain"
  }`;
  Deno.test(`${what}, grpc-js`, () => cutLaterEverywhere(startHealthBackend, ssl));
  testWithGo(`${what}, Go`, () => cutLaterEverywhere(startGoBackend, ssl));
  testWithPython(
    `${what}, C core`,
    () => cutLaterEverywhere(startPythonBackend, ssl, WINDOW_UPDATE_BYTES),
  );
}
