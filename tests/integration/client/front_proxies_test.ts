// A proxy in front of a backend that reloads: the connection it has just accepted, or one that was kept, ends
// before it has answered, and the next one is fine.

import assert from "node:assert/strict";
import { withAgent } from "../../lab/agent/with_agent.ts";
import {
  concat,
  ErrorCode,
  goaway,
  MAX_STREAM_ID,
  resetStream,
  settings,
} from "../../lab/backends/http2/frames.ts";
import { healthAnswer } from "../../lab/backends/peers/http2_peer.ts";
import {
  type ScriptedCall,
  type ScriptedConnection,
  ScriptedServer,
  type ScriptedServerOptions,
} from "../../lab/backends/peers/scripted_server.ts";
import { testPlainAndTls } from "../../lab/backends/tls/test_plain_and_tls.ts";
import { sideBySide } from "../../lab/testing/side_by_side.ts";

/** What the old process of a proxy does with a connection; to be read after "a proxy that reloads and". */
interface Reload {
  readonly name: string;
  /** When the connection is accepted, before TLS. */
  readonly accept?: (connection: ScriptedConnection) => void | Promise<void>;
  /** In place of SETTINGS. */
  readonly greet?: (connection: ScriptedConnection) => void | Promise<void>;
  /** In place of an answer. */
  readonly answer?: (call: ScriptedCall) => void | Promise<void>;
}

const { NO_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM } = ErrorCode;

/** GOAWAY in one segment with SETTINGS; no call of that connection is ever answered. */
function goingAway(lastStream: number, code: number, closes: boolean) {
  const bytes = concat(settings(), goaway(lastStream, code));
  return (connection: ScriptedConnection) =>
    closes ? connection.end(bytes) : connection.send(bytes);
}

const RELOADS: readonly Reload[] = [
  {
    name: "says GOAWAY in place of SETTINGS",
    greet: (connection) => connection.end(goaway(0)),
  },
  ...[false, true].flatMap((closes) => {
    const end = closes ? " and closes" : "";
    return [
      {
        name: `says GOAWAY(2^31-1, NO_ERROR) with its SETTINGS${end}`,
        greet: goingAway(MAX_STREAM_ID, NO_ERROR, closes),
      },
      {
        name: `says GOAWAY(0, NO_ERROR) with its SETTINGS${end}`,
        greet: goingAway(0, NO_ERROR, closes),
      },
      {
        name: `says GOAWAY(2^31-1, ENHANCE_YOUR_CALM) with its SETTINGS${end}`,
        greet: goingAway(MAX_STREAM_ID, ENHANCE_YOUR_CALM, closes),
      },
      {
        name: `says GOAWAY(0, ENHANCE_YOUR_CALM) with its SETTINGS${end}`,
        greet: goingAway(0, ENHANCE_YOUR_CALM, closes),
      },
    ];
  }),
  { name: "closes what it accepts", accept: (connection) => connection.end() },
  { name: "resets what it accepts", accept: (connection) => connection.reset() },
  { name: "closes in place of its SETTINGS", greet: (connection) => connection.end() },
  { name: "closes after its SETTINGS", greet: (connection) => connection.end(settings()) },
  { name: "closes at the first request", answer: ({ connection }) => connection.end() },
  { name: "resets at the first request", answer: ({ connection }) => connection.reset() },
  {
    name: "refuses the first request (REFUSED_STREAM)",
    answer: (call) => call.send(resetStream(call.streamId, REFUSED_STREAM)),
  },
  {
    name: "says GOAWAY(0) at the first request",
    answer: ({ connection }) => connection.send(goaway(0)),
  },
  {
    name: "says GOAWAY(0) at the first request and closes",
    answer: ({ connection }) => connection.end(goaway(0)),
  },
  {
    name: "says GOAWAY(2^31-1), then GOAWAY(0), at the first request and closes",
    answer: ({ connection }) => connection.end(goaway(MAX_STREAM_ID), goaway(0)),
  },
];

/** Lets some connections, the first from `from` on, meet a reload; all others are served. */
function reloading(reload: Reload, times: number, from: number): ScriptedServerOptions {
  const isOld = ({ nth }: ScriptedConnection) => nth >= from && nth < from + times;
  const { accept, greet, answer } = reload;
  return {
    accept: async (connection) => {
      if (isOld(connection)) await accept?.(connection);
    },
    greet: async (connection) => {
      if (greet && isOld(connection)) await greet(connection);
      else await connection.send(settings());
    },
    answer: async (call) => {
      if (isOld(call.connection)) await answer?.(call);
      // What was kept ends when it is asked again.
      else if (call.connection.nth < from && call.nthOfConnection > 1) await call.connection.end();
      else await call.serve();
    },
  };
}

/** How many proxies reload at the same time. */
const AT_ONCE = 12;

interface Case {
  readonly name: string;
  readonly options: ScriptedServerOptions;
}

/** Asks each server as often as said; every answer must be `up`. */
async function assertAllUp(flags: readonly string[], checks: number, cases: readonly Case[]) {
  const wrong: string[] = [];
  await withAgent({ flags: ["--reply-reason", "true", ...flags] }, async (agent) => {
    await sideBySide(cases, AT_ONCE, async ({ name, options }) => {
      await using server = await ScriptedServer.start(options);
      for (let nth = 1; nth <= checks; nth++) {
        const reply = await agent.ask(server.line());
        if (!/^up\b/.test(reply)) wrong.push(`${name}: check ${nth}: ${reply.trimEnd()}`);
      }
      wrong.push(...server.violations.map((violation) => `${name}: ${violation}`));
    });
  });
  assert.deepEqual(wrong, []);
}

const CACHE = { "with": "true", "without": "false" };

for (const [cached, value] of Object.entries(CACHE)) {
  for (const times of [1, 2]) {
    const often = times === 1 ? "once" : "two times in a row";
    const name = `a proxy that reloads ${often} costs no down ${cached} kept connections`;
    testPlainAndTls(name, async ({ flags, server }) => {
      const cases = RELOADS.map((reload) => ({
        name: `a proxy that reloads and ${reload.name}`,
        options: { ...server, ...reloading(reload, times, 1) },
      }));
      await assertAllUp([...flags, "--grpc-channel-cache", value], 2, cases);
    });
  }
}

testPlainAndTls(
  "a proxy whose reload ends a kept connection and then the next one costs no down",
  async ({ flags, server }) => {
    const cases = RELOADS.map((reload) => ({
      name: `a proxy that reloads and ${reload.name}`,
      options: { ...server, ...reloading(reload, 1, 2) },
    }));
    await assertAllUp(flags, 3, cases);
  },
);

testPlainAndTls(
  "a whole answer in one segment with GOAWAY is an answer",
  async ({ flags, server }) => {
    const codes = Object.entries({ NO_ERROR, ENHANCE_YOUR_CALM });
    const ways = codes.flatMap(([code, number]) =>
      [true, false].flatMap((before) =>
        [true, false].map((ends) => ({ code, number, before, ends }))
      )
    );
    const cases = ways.map(({ code, number, before, ends }) => {
      const answer = ({ streamId, connection }: ScriptedCall) => {
        const [away, whole] = [goaway(streamId, number), healthAnswer(streamId)];
        const bytes = before ? [away, whole] : [whole, away];
        return ends ? connection.end(...bytes) : connection.send(...bytes);
      };
      const place = `${before ? "before" : "after"} its answer${ends ? " and closes" : ""}`;
      return { name: `a proxy that says GOAWAY(${code}) ${place}`, options: { ...server, answer } };
    });
    await assertAllUp(flags, 3, cases);
  },
);
