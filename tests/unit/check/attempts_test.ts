import assert from "node:assert/strict";
import {
  Attempts,
  type AttemptsContext,
  hedgeDelayMs,
  questionOf,
} from "../../../src/check/attempts.ts";
import { encodeHealthCall } from "../../../src/grpc/request.ts";
import { LruMap } from "../../../src/lru_map.ts";
import type { Verdict } from "../../../src/protocol/verdict.ts";
import {
  data,
  endsStream,
  frame,
  FrameReader,
  goaway,
  grpcMessage,
  healthResponse,
  PREFACE,
  resetStream,
  settings,
} from "../../lab/backends/http2/frames.ts";
import {
  healthAnswer,
  type Http2Call,
  http2Peer,
  responseHeaders,
  trailers,
} from "../../lab/backends/peers/http2_peer.ts";
import { type Peer, PeerServer, send } from "../../lab/backends/peers/peer_server.ts";
import { blackHole, http1, saying, silent } from "../../lab/backends/peers/tcp_peers.ts";
import { freePort } from "../../lab/machine/free_port.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { FakeTime } from "../../lab/unit/fake_time.ts";
import { at, PoolLab } from "../../lab/unit/pool_lab.ts";
import { describeFrame, settingsOf } from "../../lab/unit/session_script.ts";

type Answer = (call: Http2Call) => void | Promise<void>;

const QUESTION = { authority: "api", tls: false, service: "" };
const CALL = encodeHealthCall(QUESTION, new Map());

/** Checks made with a pool of their own. */
class AttemptsLab extends PoolLab {
  hedged = 0;
  readonly exhausted = new LruMap<string, true>(100);

  /** Begins a check of what listens on these ports. */
  begin(
    ports: readonly number[],
    context: Partial<AttemptsContext> = {},
    { timeoutMs = 5000, askerTimeoutMs = 5000 } = {},
  ): Attempts {
    return new Attempts(
      {
        ...QUESTION,
        destinations: ports.map((port) => at(port)),
        timeoutMs,
        askerTimeoutMs,
        at: performance.now(),
      },
      CALL,
      {
        pool: this.pool,
        deadlines: this.deadlines,
        rpcTimeoutMs: 5000,
        connectTimeoutMs: 5000,
        exhausted: this.exhausted,
        observer: { onHedged: () => this.hedged++ },
        ...context,
      },
    );
  }

  /** Makes a check. */
  async check(
    port: number,
    context?: Partial<AttemptsContext>,
    times?: { readonly timeoutMs?: number; readonly askerTimeoutMs?: number },
  ): Promise<string> {
    return describe(await this.begin([port], context, times).verdict);
  }
}

function describe(verdict: Verdict): string {
  switch (verdict.kind) {
    case "not_serving":
      return verdict.status;
    case "rpc":
      return `${verdict.kind} ${verdict.code}`;
    default:
      return verdict.kind;
  }
}

/** A peer that does with its first calls, whatever their connection, what the test says, and answers all others. */
class Scripted implements AsyncDisposable {
  requests = 0;
  readonly server: PeerServer;

  constructor(...answers: Answer[]) {
    this.server = http2Peer({ answer: (call) => (answers[this.requests++] ?? SERVING)(call) });
  }

  get port(): number {
    return this.server.port;
  }

  get connections(): number {
    return this.server.connections;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]();
  }
}

const SERVING: Answer = ({ send, streamId }) => send(healthAnswer(streamId));
const NOT_SERVING: Answer = ({ send, streamId }) => send(healthAnswer(streamId, 2));
const REFUSES: Answer = ({ send, streamId }) => send(resetStream(streamId, 7));
const RESETS: Answer = ({ send, streamId }) => send(resetStream(streamId, 2));
const CLOSES: Answer = ({ close }) => close();
const GOES_AWAY: Answer = ({ send, streamId }) => send(goaway(streamId - 1));
const BREAKS_OFF: Answer = async ({ send, streamId, close }) => {
  await send(responseHeaders(streamId), data(streamId, grpcMessage(healthResponse(1))));
  close();
};
const BREAKS_HTTP2: Answer = ({ send, streamId }) => send(data(streamId, new Uint8Array(1)));
const NOTHING: Answer = () => {};
const ends = (code: number): Answer => ({ send, streamId }) =>
  send(responseHeaders(streamId), trailers(streamId, { "grpc-status": `${code}` }));

/** What a fresh connection does, the verdict, and how many calls it takes. */
const FRESH: readonly [string, Answer, string, number][] = [
  ["says SERVING", SERVING, "serving", 1],
  ["says NOT_SERVING", NOT_SERVING, "NOT_SERVING", 1],
  ["ends the call with an error", ends(14), "rpc UNAVAILABLE", 1],
  ["resets the stream", RESETS, "rpc INTERNAL", 1],
  ["breaks HTTP/2", BREAKS_HTTP2, "rpc INTERNAL", 1],
  ["breaks off in its answer", BREAKS_OFF, "unreachable", 1],
  ["refuses the stream", REFUSES, "rpc UNAVAILABLE", 4],
  ["denies the stream by GOAWAY", GOES_AWAY, "rpc UNAVAILABLE", 4],
  ["closes in place of an answer", CLOSES, "unreachable", 4],
];

for (const [what, answer, verdict, calls] of FRESH) {
  Deno.test(`Attempts: a server that ${what} each time is ${verdict} after ${calls} calls`, async () => {
    await using peer = new Scripted(...Array<Answer>(8).fill(answer));
    await using lab = new AttemptsLab();
    const attempts = lab.begin([peer.port]);
    const begun = performance.now();
    assert.equal(describe(await attempts.verdict), verdict);
    assert.equal(peer.requests, calls);
    assert.equal(lab.exhausted.get(questionOf([at(peer.port)], CALL)) === true, calls === 4);
    // The pauses before the third and the fourth.
    if (calls === 4) assert.ok(performance.now() - begun >= 60);
    assert.equal(lab.hedged, 0);
  });

  Deno.test(`Attempts: a server that ${what} each time gets 2 calls at most once it is exhausted`, async () => {
    await using peer = new Scripted(...Array<Answer>(8).fill(answer));
    await using lab = new AttemptsLab();
    lab.exhausted.set(questionOf([at(peer.port)], CALL), true);
    assert.equal(await lab.check(peer.port), verdict);
    assert.equal(peer.requests, Math.min(calls, 2));
  });
}

Deno.test("Attempts: a service that has used all attempts takes none from another service", async () => {
  await using peer = new Scripted(CLOSES, CLOSES, CLOSES);
  await using lab = new AttemptsLab();
  const other = encodeHealthCall({ ...QUESTION, service: "other" }, new Map());
  lab.exhausted.set(questionOf([at(peer.port)], other), true);
  assert.equal(await lab.check(peer.port), "serving");
  assert.equal(peer.requests, 4);
});

Deno.test("Attempts: the last attempt has a connection to itself, even where there are only two", async () => {
  // Each connection serves one call.
  await using server = http2Peer({
    answer: async (call) => {
      if (call.nth === 1) await call.serve();
      call.close();
    },
  });
  await using lab = new AttemptsLab();
  lab.exhausted.set(questionOf([at(server.port)], CALL), true);
  const checks = Array.from({ length: 8 }, () => lab.check(server.port));
  assert.deepEqual(new Set(await Promise.all(checks)), new Set(["serving"]));
});

Deno.test("Attempts tell what has been answered while a new connection is asked once more", async () => {
  await using peer = new Scripted(SERVING, NOT_SERVING, NOTHING);
  await using lab = new AttemptsLab();
  assert.equal(await lab.check(peer.port), "serving");
  const attempts = lab.begin([peer.port]);
  assert.equal(attempts.progress().answer, undefined);
  await eventually("the third call", () => peer.requests === 3);
  assert.deepEqual(attempts.progress().answer, { kind: "not_serving", status: "NOT_SERVING" });
  attempts.cancel();
});

for (
  const [what, answer] of [["refuses", REFUSES], ["denies", GOES_AWAY], ["loses", CLOSES]] as const
) {
  for (const times of [1, 2, 3]) {
    Deno.test(`Attempts: a server that ${what} ${times} calls and answers the next is serving`, async () => {
      await using peer = new Scripted(...Array<Answer>(times).fill(answer));
      await using lab = new AttemptsLab();
      assert.equal(await lab.check(peer.port), "serving");
      assert.equal(peer.requests, times + 1);
      assert.equal(peer.connections, times + 1, "each is made on a new connection");
    });
  }
}

/** What a connection does that has said SERVING before, and why it is left. */
const KEPT: readonly [string, Answer][] = [
  ["says NOT_SERVING", NOT_SERVING],
  ["ends the call with an error", ends(14)],
  ["resets the stream", RESETS],
  ["refuses the stream", REFUSES],
  ["denies the stream by GOAWAY", GOES_AWAY],
  ["closes in place of an answer", CLOSES],
  ["breaks off in its answer", BREAKS_OFF],
  ["breaks HTTP/2", BREAKS_HTTP2],
];

for (const [what, answer] of KEPT) {
  Deno.test(`Attempts: a kept connection that ${what} is asked again on a new one`, async () => {
    await using peer = new Scripted(SERVING, answer);
    await using lab = new AttemptsLab();
    assert.equal(await lab.check(peer.port), "serving");
    assert.equal(await lab.check(peer.port), "serving");
    assert.deepEqual([peer.requests, peer.connections], [3, 2]);
  });
}

Deno.test("Attempts: NOT_SERVING on a connection that has served is asked again, on a new connection it is not", async () => {
  await using peer = new Scripted(SERVING, NOT_SERVING, NOT_SERVING, NOT_SERVING);
  await using lab = new AttemptsLab();
  await lab.check(peer.port);
  assert.equal(await lab.check(peer.port), "NOT_SERVING");
  assert.equal(peer.requests, 3);
  assert.equal(await lab.check(peer.port), "NOT_SERVING");
  assert.equal(peer.requests, 4, "the new connection has never served");
});

Deno.test("Attempts: what a kept connection said holds where a new one has no answer", async () => {
  await using peer = new Scripted(SERVING, NOT_SERVING, CLOSES, CLOSES, CLOSES);
  await using lab = new AttemptsLab();
  await lab.check(peer.port);
  assert.equal(await lab.check(peer.port), "NOT_SERVING");
  assert.equal(peer.requests, 5);
});

Deno.test("Attempts tell what a kept connection said even if the second call beside a silent one has failed", async () => {
  const { promise: end, resolve: endIt } = Promise.withResolvers<void>();
  const freezes: Answer = () => end;
  await using peer = new Scripted(SERVING, NOT_SERVING, freezes, RESETS);
  await using lab = new AttemptsLab();
  await lab.check(peer.port);
  const attempts = lab.begin([peer.port]);
  await eventually("the second call beside the silent one", () => peer.requests === 4);
  await new Promise((resolve) => setTimeout(resolve, 50)); // there is no event for what does not change
  assert.deepEqual(attempts.progress().answer, { kind: "not_serving", status: "NOT_SERVING" });
  attempts.cancel();
  endIt();
});

/** How servers end a call at its deadline, a moment before the agent would. */
const ENDED_AT_DEADLINE: readonly [string, Answer][] = [
  ["DEADLINE_EXCEEDED", ends(4)],
  ["CANCELLED", ends(1)],
  ["a reset with CANCEL", ({ send, streamId }) => send(resetStream(streamId, 8))],
];

for (const [what, answer] of ENDED_AT_DEADLINE) {
  const late: Answer = (call) => {
    setTimeout(() => answer(call), 480);
  };

  Deno.test(`Attempts: ${what} at the deadline is a timeout`, async () => {
    await using peer = new Scripted(late);
    await using early = new Scripted(answer);
    await using lab = new AttemptsLab();
    assert.equal(await lab.check(peer.port, { rpcTimeoutMs: 500 }), "timeout");
    assert.equal(peer.requests, 1);
    assert.match(await lab.check(early.port, { rpcTimeoutMs: 500 }), /^rpc/);
  });

  Deno.test(`Attempts: ${what} at the deadline, where there was SERVING before, is asked again`, async () => {
    await using peer = new Scripted(SERVING, late, SERVING);
    await using lab = new AttemptsLab();
    await lab.check(peer.port);
    assert.equal(await lab.check(peer.port, { rpcTimeoutMs: 500 }), "serving");
    assert.deepEqual([peer.requests, peer.connections], [3, 2]);
  });
}

Deno.test("Attempts: a connection whose every call fails is replaced when it is five seconds old", async () => {
  await using peer = new Scripted(...Array<Answer>(8).fill(NOT_SERVING));
  await using lab = new AttemptsLab();
  using time = new FakeTime();
  for (const passed of [0, 3000, 1900]) {
    time.passes(passed);
    assert.equal(await lab.check(peer.port), "NOT_SERVING");
    assert.equal(peer.connections, 1);
  }
  time.passes(200);
  assert.equal(await lab.check(peer.port), "NOT_SERVING");
  await eventually("the new connection", () => lab.closed.length === 1);
  assert.deepEqual([lab.closed, peer.connections], [["changed"], 2]);
  assert.equal(await lab.check(peer.port), "NOT_SERVING");
  assert.equal(peer.connections, 2);
});

/** What is final at once. */
const FINAL: readonly [string, () => PeerServer, string][] = [
  ["speaks HTTP/1.1", http1, "unreachable"],
  ["speaks TLS", () => saying(Uint8Array.of(0x15, 3, 3, 0, 2, 2, 40)), "unreachable"],
  ["floods", () =>
    http2Peer({
      answer: ({ send }) =>
        send(...Array<Uint8Array>(1000).fill(frame(6, 0, 0, new Uint8Array(8)))),
    }), "unreachable"],
];

for (const [what, start, verdict] of FINAL) {
  Deno.test(`Attempts: a server that ${what} is ${verdict} at once`, async () => {
    await using peer: Peer & AsyncDisposable = start();
    await using lab = new AttemptsLab();
    assert.equal(await lab.check(peer.port), verdict);
    assert.equal(peer.connections, 1);
  });
}

Deno.test("Attempts: a refused connection is final at once", async () => {
  await using lab = new AttemptsLab();
  assert.equal(await lab.check(freePort()), "unreachable");
  assert.equal(lab.opened, 1);
});

Deno.test("Attempts: a limit of no streams on each connection is refused four times", async () => {
  await using peer = http2Peer({ greeting: settingsOf([3, 0]) });
  await using lab = new AttemptsLab();
  assert.equal(await lab.check(peer.port), "rpc UNAVAILABLE");
  assert.equal(peer.connections, 4);
});

/** A peer of which the first connections take all and say nothing, not even to a PING. */
class DeafPeer implements AsyncDisposable {
  /** The frames of the connections that are deaf, each in a few words. */
  readonly heard: string[][] = [];
  readonly server: PeerServer;

  /** @param lastWordsAt at which call a deaf connection still says something, though no answer */
  constructor(deaf: number, lastWordsAt?: number) {
    const healthy = new Scripted();
    this.server = new PeerServer(async (connection) => {
      const heard: string[] = [];
      if (this.heard.push(heard) > deaf) return healthy.server.adopt(connection);
      await send(connection, settings());
      const reader = new FrameReader();
      const buffer = new Uint8Array(4096);
      let preface = PREFACE.length;
      let calls = 0;
      for (let count; (count = await connection.read(buffer)) !== null;) {
        for (const received of reader.push(buffer.slice(preface, count))) {
          heard.push(describeFrame(received));
          if (endsStream(received) && ++calls === lastWordsAt) await send(connection, settings());
        }
        preface = 0;
      }
    });
    this.#healthy = healthy;
  }

  readonly #healthy: Scripted;

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#healthy[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

/** With this patience a call is asked for a sign of life after 50 ms, and made again 50 ms later. */
const HASTY = { askerTimeoutMs: 200 };

Deno.test("Attempts: a silent connection is left for a new one within the same check", async () => {
  await using peer = new DeafPeer(1);
  await using lab = new AttemptsLab();
  assert.equal(await lab.check(peer.server.port, {}, HASTY), "serving");
  assert.equal(lab.hedged, 1);
  await eventually("the end of the silent one", () => lab.closed.includes("silent"));
  assert.equal(lab.closed.length, 1);
  const [heard = []] = peer.heard;
  assert.equal(heard.filter((frame) => frame === "PING").length, 1);
  await eventually("the cancel", () => heard.includes("RST_STREAM 1 CANCEL"));
  assert.equal(await lab.check(peer.server.port), "serving");
  assert.equal(peer.heard.length, 2);
});

Deno.test("Attempts: of calls at once on a connection that falls silent each is made on a new one", async () => {
  await using peer = new DeafPeer(1, 3);
  await using lab = new AttemptsLab();
  const context = { rpcTimeoutMs: 1000 };
  const checks = Array.from({ length: 3 }, () => lab.check(peer.server.port, context, HASTY));
  assert.deepEqual(await Promise.all(checks), Array(3).fill("serving"));
  const [heard = []] = peer.heard;
  assert.equal(heard.filter((frame) => frame === "PING").length, 1);
  assert.equal(lab.hedged, 3);
});

Deno.test("Attempts: with two silent connections the check ends in time, without a third", async () => {
  await using peer = new DeafPeer(9);
  await using lab = new AttemptsLab();
  assert.equal(await lab.check(peer.server.port, {}, { ...HASTY, timeoutMs: 500 }), "timeout");
  assert.equal(lab.hedged, 1);
  assert.equal(peer.heard.length, 2);
});

Deno.test("Attempts: a slow server that acknowledges the PING is asked once", async () => {
  await using peer = new Scripted((call) => void setTimeout(() => SERVING(call), 400));
  await using lab = new AttemptsLab();
  assert.equal(await lab.check(peer.port, {}, HASTY), "serving");
  assert.deepEqual([peer.requests, lab.hedged], [1, 0]);
});

Deno.test("Attempts: eight slow calls at once share one PING", async () => {
  const frames: string[] = [];
  await using peer = new PeerServer(async (connection) => {
    await send(connection, settings());
    const reader = new FrameReader();
    const buffer = new Uint8Array(4096);
    let preface = PREFACE.length;
    const streams: number[] = [];
    for (let count; (count = await connection.read(buffer)) !== null;) {
      for (const received of reader.push(buffer.slice(preface, count))) {
        const { type, flags, streamId, payload } = received;
        frames.push(describeFrame(received));
        if (type === 6) await send(connection, frame(6, 1, 0, payload));
        if (type !== 0 || (flags & 1) === 0 || streams.push(streamId) < 8) continue;
        setTimeout(async () => {
          for (const id of streams) await send(connection, healthAnswer(id));
        }, 400);
      }
      preface = 0;
    }
  });
  await using lab = new AttemptsLab();
  const checks = Array.from({ length: 8 }, () => lab.check(peer.port, {}, HASTY));
  assert.deepEqual(await Promise.all(checks), Array(8).fill("serving"));
  assert.equal(frames.filter((frame) => frame === "PING").length, 1);
  assert.deepEqual([peer.connections, lab.hedged], [1, 0]);
});

Deno.test("Attempts: after a GOAWAY a call without an answer is also made on a new connection", async () => {
  await using peer = new Scripted(({ send, streamId }) => send(goaway(streamId)));
  await using lab = new AttemptsLab();
  assert.equal(await lab.check(peer.port, {}, HASTY), "serving");
  assert.deepEqual([peer.requests, peer.connections, lab.hedged], [2, 2, 1]);
});

Deno.test("Attempts: the old connection's answer counts too when it comes first", async () => {
  await using peer = new Scripted(async ({ send, streamId }) => {
    await send(goaway(streamId));
    await eventually("the second call", () => peer.requests === 2);
    await send(healthAnswer(streamId, 2));
  }, NOTHING);
  await using lab = new AttemptsLab();
  assert.equal(await lab.check(peer.port, {}, HASTY), "NOT_SERVING");
});

Deno.test("Attempts: a hedge that cannot be made waits for the answer of the first call", async () => {
  await using peer = new Scripted(async ({ send, streamId }) => {
    await send(goaway(streamId));
    await new Promise((resolve) => setTimeout(resolve, 300));
    await send(healthAnswer(streamId));
  });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using lab = new AttemptsLab();
  const check = lab.check(listener.addr.port, {}, HASTY);
  peer.server.adopt(await listener.accept());
  listener.close();
  assert.equal(await check, "serving");
  assert.equal(lab.hedged, 1);
});

Deno.test("Attempts: an RPC that takes longer than its limit is given up, its connection is not", async () => {
  await using peer = new Scripted(NOTHING);
  await using lab = new AttemptsLab();
  const attempts = lab.begin([peer.port], { rpcTimeoutMs: 60 }, { timeoutMs: 5000 });
  const verdict = await attempts.verdict;
  assert.deepEqual(verdict, { kind: "timeout", detail: "The RPC did not end in time" });
  assert.equal(await lab.check(peer.port), "serving");
  assert.deepEqual([peer.connections, lab.closed.length], [1, 0]);
});

for (
  const [what, waitMs, verdict] of [["with the call's deadline", 300, "timeout"], [
    "at once",
    0,
    "rpc DEADLINE_EXCEEDED",
  ]] as const
) {
  Deno.test(`Attempts: DEADLINE_EXCEEDED ${what} is ${verdict}`, async () => {
    await using peer = new Scripted((call) =>
      void setTimeout(async () => {
        // On a busy machine the call may have timed out, and the connection be gone.
        await Promise.resolve(ends(4)(call)).catch(() => {});
      }, waitMs)
    );
    await using lab = new AttemptsLab();
    assert.equal(await lab.check(peer.port, { rpcTimeoutMs: 320 }), verdict);
  });
}

Deno.test("Attempts that are cancelled cancel their call and never settle; the connection lives on", async () => {
  await using peer = new Scripted(NOTHING);
  await using lab = new AttemptsLab();
  const attempts = lab.begin([peer.port]);
  void attempts.verdict.then(() => assert.fail("They have settled"));
  await eventually("the call", () => peer.requests === 1);
  assert.equal(attempts.progress().waitsFor, "The RPC did not end in time");
  attempts.cancel();
  attempts.cancel();
  assert.equal(await lab.check(peer.port), "serving");
  assert.equal(peer.connections, 1);
});

Deno.test("Attempts that are cancelled before there is a connection leave it to the next check", async () => {
  await using peer = silent();
  await using lab = new AttemptsLab();
  const attempts = lab.begin([peer.port]);
  assert.equal(attempts.progress().waitsFor, "The TCP connection was not made in time");
  attempts.cancel();
  await eventually("the connection", () => lab.pool.stateOf(at(peer.port)) === "ready");
  assert.equal(lab.closed.length, 0);
});

Deno.test("Attempts that are cancelled in a pause make no further call and never settle", async () => {
  await using peer = new Scripted(REFUSES, REFUSES, async (call) => {
    await REFUSES(call);
    setTimeout(() => attempts.cancel(), 10); // the pause before the fourth call takes 50 ms
  });
  await using lab = new AttemptsLab();
  const attempts = lab.begin([peer.port]);
  void attempts.verdict.then(() => assert.fail("They have settled"));
  await eventually("the third call", () => peer.requests === 3);
  await new Promise((resolve) => setTimeout(resolve, 150)); // there is no event for what does not come
  assert.equal(peer.requests, 3);
});

Deno.test("Attempts: a dial that ends at its limit is a timeout of connecting", async () => {
  await using hole = await blackHole();
  await using lab = new AttemptsLab({ connectTimeoutMs: 50 });
  const verdict = await lab.begin([hole.port]).verdict;
  assert.deepEqual(verdict, {
    kind: "timeout",
    detail: "The TCP connection was not made in time",
  });
});

Deno.test("hedgeDelayMs() is a quarter of the time left, and 400 ms at most", () => {
  assert.deepEqual([100, 1600, 5000, 60_000].map(hedgeDelayMs), [25, 400, 400, 400]);
});
