/** Healthy peers that end calls and connections as servers may: a check of them is always up. */

import { concat, goaway, PREFACE, resetStream, settings } from "../http2/frames.ts";
import { goingAway, goingAwayGracefully } from "./faulty_peers.ts";
import { healthAnswer, type Http2Call, http2Peer } from "./http2_peer.ts";
import type { PeerServer } from "./peer_server.ts";

/** HTTP/2's error codes (RFC 9113, section 7). */
const Code = { INTERNAL_ERROR: 2, REFUSED_STREAM: 7, ENHANCE_YOUR_CALM: 11 } as const;

/** The highest stream number: "whatever you have sent will still be answered". */
const MAX_STREAM_ID = 2 ** 31 - 1;

/** A way of being healthy, to be read after "a backend that". */
export interface PoliteWay {
  readonly name: string;
  readonly start: () => PeerServer;
}

/** Answers the first calls of each connection, and does something else at the last one. */
function until(calls: number, otherwise: (call: Http2Call) => void | Promise<void>): PeerServer {
  return http2Peer({
    answer: (call) => call.nth < calls ? call.send(healthAnswer(call.streamId)) : otherwise(call),
  });
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** All ways. */
export const POLITE_WAYS: readonly PoliteWay[] = [
  { name: "says GOAWAY with the true last stream after each answer", start: () => goingAway(1) },
  { name: "says GOAWAY with the true last stream every 5 answers", start: () => goingAway(5) },
  {
    name: "says GOAWAY with the highest and then with the true last stream every 3 answers",
    start: () => goingAwayGracefully(3),
  },
  {
    name: "says GOAWAY with the highest stream and closes 100 ms later",
    start: () =>
      until(4, async ({ streamId, send, close }) => {
        await send(healthAnswer(streamId));
        await send(goaway(MAX_STREAM_ID));
        await pause(100);
        close();
      }),
  },
  {
    name: "says GOAWAY before its answer",
    start: () =>
      until(3, async ({ streamId, send, close }) => {
        await send(goaway(streamId));
        await pause(20);
        await send(healthAnswer(streamId));
        close();
      }),
  },
  {
    name: "refuses the stream by its GOAWAY",
    start: () =>
      until(3, async ({ streamId, send, close }) => {
        await send(goaway(streamId - 2));
        await pause(20);
        close();
      }),
  },
  {
    name: "says GOAWAY with ENHANCE_YOUR_CALM between calls",
    start: () =>
      until(3, async ({ streamId, send, close }) => {
        await send(healthAnswer(streamId));
        await pause(20);
        await send(goaway(streamId, Code.ENHANCE_YOUR_CALM));
        close();
      }),
  },
  {
    name: "closes an old connection in place of an answer",
    start: () => until(3, ({ close }) => close()),
  },
  {
    name: "closes a connection after each answer",
    start: () =>
      until(1, async ({ streamId, send, close }) => {
        await send(healthAnswer(streamId));
        close();
      }),
  },
  {
    name: "resets a stream of an old connection (REFUSED_STREAM)",
    start: () => until(3, ({ streamId, send }) => send(resetStream(streamId, Code.REFUSED_STREAM))),
  },
  {
    name: "resets a stream of an old connection (INTERNAL_ERROR)",
    start: () => until(3, ({ streamId, send }) => send(resetStream(streamId, Code.INTERNAL_ERROR))),
  },
  {
    name: "says nonsense on an old connection",
    start: () => until(3, ({ send }) => send(PREFACE)),
  },
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
        answer: ({ streamId, send }) => {
          pause(700).then(() => send(healthAnswer(streamId))).catch(() => {}); // or the client has gone
        },
      }),
  },
];
