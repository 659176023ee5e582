/** Healthy peers that end calls and connections as servers may: a check of them is always up. */

import {
  concat,
  ErrorCode,
  goaway,
  MAX_STREAM_ID,
  PREFACE,
  resetStream,
  settings,
} from "../http2/frames.ts";
import { healthAnswer, type Http2Call, http2Peer } from "./http2_peer.ts";
import type { PeerServer } from "./peer_server.ts";

/** A way of being healthy, to be read after "a backend that". */
export interface PoliteWay {
  readonly name: string;
  readonly start: () => PeerServer;
}

/** All ways. */
export const POLITE_WAYS: readonly PoliteWay[] = [
  { name: "says GOAWAY with the true last stream after each answer", start: () => goingAway(1) },
  { name: "says GOAWAY with the true last stream every 5 answers", start: () => goingAway(5) },
  {
    name: "says GOAWAY with the highest and then with the true last stream every 3 answers",
    start: () => goingAwayGracefully(3),
  },
  atCall(4, "says GOAWAY with the highest stream and closes 100 ms later", async (call) => {
    await call.serve();
    await call.send(goaway(MAX_STREAM_ID));
    await pause(100);
    call.close();
  }),
  atCall(3, "says GOAWAY before its answer", async (call) => {
    await call.send(goaway(call.streamId));
    await pause(20);
    await call.serve();
    call.close();
  }),
  atCall(3, "refuses the stream by its GOAWAY", async ({ streamId, send, close }) => {
    await send(goaway(streamId - 2));
    await pause(20);
    close();
  }),
  atCall(3, "says GOAWAY with ENHANCE_YOUR_CALM between calls", async (call) => {
    await call.serve();
    await pause(20);
    await call.send(goaway(call.streamId, ErrorCode.ENHANCE_YOUR_CALM));
    call.close();
  }),
  atCall(3, "closes an old connection in place of an answer", ({ close }) => close()),
  atCall(1, "closes a connection after each answer", async (call) => {
    await call.serve();
    call.close();
  }),
  atCall(
    3,
    "resets a stream of an old connection (REFUSED_STREAM)",
    ({ streamId, send }) => send(resetStream(streamId, ErrorCode.REFUSED_STREAM)),
  ),
  atCall(
    3,
    "resets a stream of an old connection (INTERNAL_ERROR)",
    ({ streamId, send }) => send(resetStream(streamId, ErrorCode.INTERNAL_ERROR)),
  ),
  atCall(3, "says nonsense on an old connection", ({ send }) => send(PREFACE)),
  {
    name: "sends SETTINGS with each answer",
    start: () =>
      http2Peer({
        answer: ({ streamId, send }) => send(concat(settings(), healthAnswer(streamId))),
      }),
  },
  {
    name: "answers after 700 ms",
    start: () =>
      http2Peer({
        // Not awaited: each call takes so long, however many others the connection has.
        answer: (call) => {
          pause(700).then(() => call.serve()).catch(() => {}); // or the client has gone
        },
      }),
  },
];

/** A healthy peer that says GOAWAY after every `calls` answers, as servers do that limit a connection. */
export function goingAway(calls: number): PeerServer {
  return until(calls, async (call) => {
    await call.serve();
    await call.send(goaway(call.streamId));
    call.close();
  });
}

/**
 * A healthy peer that goes away as gRPC's own servers do: first GOAWAY with the highest stream number,
 * so that calls on their way still count, then with the true one.
 */
export function goingAwayGracefully(calls: number): PeerServer {
  return until(calls, async (call) => {
    await call.serve();
    await call.send(goaway(MAX_STREAM_ID));
    await call.send(goaway(call.streamId));
    call.close();
  });
}

/** A healthy peer that resets the second call of each connection. */
export function resettingSecond(code: number): PeerServer {
  return http2Peer({
    answer: (call) => call.nth === 2 ? call.send(resetStream(call.streamId, code)) : call.serve(),
  });
}

/** Answers the first calls of each connection, and does something else at call number `calls`. */
function atCall(
  calls: number,
  name: string,
  otherwise: (call: Http2Call) => void | Promise<void>,
): PoliteWay {
  return { name, start: () => until(calls, otherwise) };
}

function until(calls: number, otherwise: (call: Http2Call) => void | Promise<void>): PeerServer {
  return http2Peer({ answer: (call) => call.nth < calls ? call.serve() : otherwise(call) });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
