import {
  concat,
  data,
  frame,
  FrameFlag,
  FrameType,
  goaway,
  grpcMessage,
  headers,
  healthResponse,
  resetStream,
  settings,
} from "../http2/frames.ts";
import {
  healthAnswer,
  type Http2Call,
  http2Peer,
  responseHeaders,
  trailers,
} from "./http2_peer.ts";
import type { Peer, PeerServer } from "./peer_server.ts";
import * as tcp from "./tcp_peers.ts";

/** What a check of a faulty peer comes to. */
export type Outcome = "up" | "down" | "backend_unreachable" | "tls" | "timeout" | "rpc";

/** A way in which a backend can be wrong. */
export type Fault = FaultyBackend & (FaultBehindAddress | FaultOfAddress);

interface FaultyBackend {
  /** What the peer does, to be read after "a backend that". */
  name: string;
  /**
   * How a check of it counts: "up" and "down" are what the backend said of itself, the others are an
   * `error_type`.
   */
  outcome: Outcome;
  /** Asked with TLS. @default {false} */
  ssl?: boolean;
}

/** What takes connections, and may be handed those of another listener. */
interface FaultBehindAddress {
  ofAddress?: false;
  start: () => PeerServer;
}

/** What must have the port itself. */
interface FaultOfAddress {
  ofAddress: true;
  /** @param port where; a free one by default */
  start: (port?: number) => Peer | Promise<Peer>;
}

/** Faults below HTTP/2. */
export const CONNECTION_FAULTS: Fault[] = [
  {
    name: "refuses connections",
    outcome: "backend_unreachable",
    ofAddress: true,
    start: tcp.refusing,
  },
  { name: "drops every SYN", outcome: "timeout", ofAddress: true, start: tcp.blackHole },
  { name: "accepts and is silent", outcome: "timeout", start: tcp.silent },
  { name: "closes at once", outcome: "backend_unreachable", start: tcp.closing },
  { name: "resets at once", outcome: "backend_unreachable", ofAddress: true, start: tcp.resetting },
  { name: "speaks HTTP/1.1", outcome: "backend_unreachable", start: tcp.http1 },
  { name: "speaks SSH", outcome: "backend_unreachable", start: tcp.ssh },
  { name: "sends garbage", outcome: "backend_unreachable", start: tcp.garbage },
  { name: "is silent where TLS is asked for", outcome: "timeout", ssl: true, start: tcp.silent },
  { name: "stalls in the TLS handshake", outcome: "timeout", ssl: true, start: tcp.stallingTls },
  {
    name: "speaks HTTP/1.1 where TLS is asked for",
    outcome: "tls",
    ssl: true,
    start: tcp.http1,
  },
  {
    name: "closes at once where TLS is asked for",
    outcome: "tls",
    ssl: true,
    start: tcp.closing,
  },
];

/** Faults of a peer that speaks HTTP/2. */
export const HTTP2_FAULTS: Fault[] = [
  { name: "sends SETTINGS and then nothing", outcome: "timeout", start: () => http2Peer() },
  {
    name: "sends SETTINGS and GOAWAY in one segment",
    outcome: "rpc",
    start: () => http2Peer({ greeting: concat(settings(), goaway(0)) }),
  },
  {
    name: "resets the stream",
    outcome: "rpc",
    start: () => http2Peer({ answer: ({ streamId, send }) => send(resetStream(streamId, 2)) }),
  },
  {
    name: "closes the connection in place of an answer",
    outcome: "backend_unreachable",
    start: () => http2Peer({ answer: ({ close }) => close() }),
  },
  {
    name: "sends header fields that do not decode",
    outcome: "rpc",
    start: () =>
      http2Peer({
        answer: ({ streamId, send }) => {
          const undecodable = new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff]);
          return send(frame(FrameType.HEADERS, FrameFlag.END_HEADERS, streamId, undecodable));
        },
      }),
  },
  {
    name: "answers 404 with a page",
    outcome: "rpc",
    start: () =>
      http2Peer({
        answer: ({ streamId, send }) =>
          send(
            headers(streamId, { ":status": "404", "content-type": "text/html" }),
            data(streamId, page(), { endStream: true }),
          ),
      }),
  },
  {
    name: "answers 200 with a page",
    outcome: "rpc",
    start: () =>
      http2Peer({
        answer: ({ streamId, send }) =>
          send(
            headers(streamId, { ":status": "200", "content-type": "text/html" }),
            data(streamId, page(), { endStream: true }),
          ),
      }),
  },
  {
    name: "answers 503 without a body",
    outcome: "rpc",
    start: () =>
      http2Peer({
        answer: ({ streamId, send }) =>
          send(headers(streamId, { ":status": "503" }, { endStream: true })),
      }),
  },
  {
    name: "answers 502 with a page",
    outcome: "rpc",
    start: () =>
      http2Peer({
        answer: ({ streamId, send }) =>
          send(
            headers(streamId, { ":status": "502", "content-type": "text/html" }),
            data(streamId, page(), { endStream: true }),
          ),
      }),
  },
  {
    name: "calls a good answer text/plain",
    // gRPC's C core takes it, since the status and the message are those of gRPC; grpc-go does not.
    outcome: "rpc",
    start: () =>
      http2Peer({
        answer: ({ streamId, send }) =>
          send(
            headers(streamId, { ":status": "200", "content-type": "text/plain" }),
            data(streamId, grpcMessage(healthResponse(1))),
            trailers(streamId),
          ),
      }),
  },
  {
    name: "ends the call with OK in trailers only",
    outcome: "rpc",
    start: () =>
      http2Peer({
        answer: ({ streamId, send }) =>
          send(headers(streamId, {
            ":status": "200",
            "content-type": "application/grpc",
            "grpc-status": "0",
          }, { endStream: true })),
      }),
  },
  {
    name: "ends the call with UNIMPLEMENTED in trailers only",
    outcome: "rpc",
    start: () =>
      http2Peer({
        answer: ({ streamId, send }) =>
          send(headers(streamId, {
            ":status": "200",
            "content-type": "application/grpc",
            "grpc-status": "12",
          }, { endStream: true })),
      }),
  },
  {
    name: "ends the call with DEADLINE_EXCEEDED at once",
    outcome: "rpc",
    start: () => answering([], { "grpc-status": "4" }),
  },
  {
    name: "ends the call with a status that is no number",
    outcome: "rpc",
    start: () => answering([], { "grpc-status": "good" }),
  },
  {
    name: "ends the call with OK and no message",
    outcome: "rpc",
    start: () =>
      http2Peer({
        answer: ({ streamId, send }) => send(responseHeaders(streamId), trailers(streamId)),
      }),
  },
  {
    name: "says SERVING and ends the call with UNAVAILABLE",
    outcome: "rpc",
    start: () => answering([healthResponse(1)], { "grpc-status": "14" }),
  },
  {
    name: "sends two messages",
    outcome: "rpc",
    start: () => answering([healthResponse(1), healthResponse(1)]),
  },
  {
    name: "sends a message that does not decode",
    outcome: "rpc",
    start: () => answering([new Uint8Array([0x08, 0xff, 0xff])]),
  },
  {
    name: "announces a message of two gigabytes",
    outcome: "rpc",
    start: () =>
      http2Peer({
        answer: ({ streamId, send }) =>
          send(responseHeaders(streamId), data(streamId, grpcMessage(healthResponse(1), 2 ** 31))),
      }),
  },
  {
    name: "sends a message of a hundred megabytes",
    outcome: "rpc",
    start: () =>
      http2Peer({
        answer: async ({ streamId, send }) => {
          await send(responseHeaders(streamId));
          await send(data(streamId, grpcMessage(new Uint8Array(10_000), 100e6)));
          const more = data(streamId, new Uint8Array(10_000));
          for (let sent = 0; sent < 100e6; sent += 10_000) await send(more);
        },
      }),
  },
  {
    name: "sends informational headers without end",
    outcome: "backend_unreachable",
    start: () => floodingWith((streamId) => headers(streamId, { ":status": "103" })),
  },
  {
    name: "acknowledges PINGs that nobody sent, without end",
    outcome: "backend_unreachable",
    start: () => floodingWith(() => frame(FrameType.PING, FrameFlag.ACK, 0, new Uint8Array(8))),
  },
  {
    name: "sends its answer byte by byte, and too slowly",
    outcome: "timeout",
    start: () =>
      http2Peer({
        answer: async ({ streamId, send }) => {
          for (const byte of healthAnswer(streamId)) {
            await send(new Uint8Array([byte]));
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        },
      }),
  },
  {
    name: "says a status that does not exist",
    outcome: "down",
    start: () => answering([healthResponse(999)]),
  },
  {
    name: "sends its answer byte by byte",
    outcome: "up",
    start: () =>
      http2Peer({
        answer: async ({ streamId, send }) => {
          for (const byte of healthAnswer(streamId)) await send(new Uint8Array([byte]));
        },
      }),
  },
];

/** Those of them that cost who reads them much time. */
export const FLOODS: Fault[] = HTTP2_FAULTS.filter(({ name }) => name.endsWith("without end"));

/** A healthy peer that says GOAWAY after every `calls` answers, as servers do that limit a connection. */
export function goingAway(calls: number): PeerServer {
  return http2Peer({
    answer: async ({ streamId, nth, send, close }) => {
      await send(healthAnswer(streamId));
      if (nth < calls) return;
      await send(goaway(streamId));
      close();
    },
  });
}

/** A healthy peer that resets the second call of each connection. */
export function resettingSecond(code: number): Peer {
  return http2Peer({
    answer: ({ streamId, nth, send }) =>
      send(nth === 2 ? resetStream(streamId, code) : healthAnswer(streamId)),
  });
}

/**
 * A healthy peer that goes away as gRPC's own servers do: first GOAWAY with the highest stream number,
 * so that calls on their way still count, then with the true one.
 */
export function goingAwayGracefully(calls: number): PeerServer {
  return http2Peer({
    answer: async ({ streamId, nth, send, close }) => {
      await send(healthAnswer(streamId));
      if (nth < calls) return;
      await send(goaway(2 ** 31 - 1));
      await send(goaway(streamId));
      close();
    },
  });
}

/**
 * A healthy peer that keeps a Watch stream open, the second call of a connection, and says GOAWAY on it
 * a little later: at times to a connection with nothing else under way, at times during a Check.
 */
export function goingAwayFromStream(): Peer {
  let streams = 0;
  return http2Peer({
    answer: async ({ streamId, nth, send }) => {
      if (nth !== 2) return await send(healthAnswer(streamId));
      await send(responseHeaders(streamId), data(streamId, grpcMessage(healthResponse(1))));
      await new Promise((resolve) => setTimeout(resolve, streams++ % 5));
      await send(goaway(streamId));
    },
  });
}

/** What a Watch stream can be other than a word now and then; to be read after "a stream that". */
export const STREAM_FAULTS: { name: string; answer: (call: Http2Call) => void | Promise<void> }[] =
  [
    { name: "says nothing", answer: ({ streamId, send }) => send(responseHeaders(streamId)) },
    { name: "does not even begin", answer: () => {} },
    { name: "says NOT_SERVING against the Checks", answer: telling(2) },
    { name: "says UNKNOWN", answer: telling(0) },
    { name: "says SERVICE_UNKNOWN", answer: telling(3) },
    { name: "says a status that does not exist", answer: telling(999) },
    { name: "tells two thousand statuses", answer: telling(...Array(2000).fill(1)) },
    {
      name: "sends a message that does not decode",
      answer: ({ streamId, send }) =>
        send(
          responseHeaders(streamId),
          data(streamId, grpcMessage(new Uint8Array([0x08, 0xff, 0xff]))),
        ),
    },
    {
      name: "announces a message of two gigabytes",
      answer: ({ streamId, send }) =>
        send(responseHeaders(streamId), data(streamId, grpcMessage(healthResponse(1), 2 ** 31))),
    },
    {
      name: "ends with OK after a word",
      answer: ({ streamId, send }) => send(healthAnswer(streamId)),
    },
    {
      name: "ends with OK before a word",
      answer: ({ streamId, send }) => send(responseHeaders(streamId), trailers(streamId)),
    },
    { name: "is reset", answer: ({ streamId, send }) => send(resetStream(streamId, 2)) },
    {
      name: "is a page",
      answer: ({ streamId, send }) =>
        send(
          headers(streamId, { ":status": "404", "content-type": "text/html" }),
          data(streamId, page(), { endStream: true }),
        ),
    },
    { name: "costs the connection", answer: ({ close }) => close() },
    {
      name: "costs the connection after a word",
      answer: async (call) => {
        await telling(1)(call);
        call.close();
      },
    },
  ];

/** A healthy peer, but for its Watch streams. */
export function withStreamFault(answer: (call: Http2Call) => void | Promise<void>): Peer {
  return http2Peer({
    // The agent's second call of a connection is the Watch.
    answer: (call) => call.nth === 2 ? answer(call) : call.send(healthAnswer(call.streamId)),
  });
}

function telling(...statuses: number[]): (call: Http2Call) => Promise<void> {
  return ({ streamId, send }) =>
    send(
      responseHeaders(streamId),
      ...statuses.map((status) => data(streamId, grpcMessage(healthResponse(status)))),
    );
}

function answering(messages: Uint8Array[], trailerFields: Record<string, string> = {}): PeerServer {
  return http2Peer({
    answer: ({ streamId, send }) =>
      send(
        responseHeaders(streamId),
        ...messages.map((message) => data(streamId, grpcMessage(message))),
        trailers(streamId, trailerFields),
      ),
  });
}

/** Sends one frame again and again in place of an answer. */
function floodingWith(makeFrame: (streamId: number) => Uint8Array): PeerServer {
  return http2Peer({
    answer: async ({ streamId, send }) => {
      const frames = concat(...Array(1000).fill(makeFrame(streamId)));
      for (;;) await send(frames);
    },
  });
}

function page(): Uint8Array {
  return new TextEncoder().encode("<!DOCTYPE html><title>Not here</title><p>Nothing to see.");
}
