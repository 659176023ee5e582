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
  answering("sends SETTINGS and then nothing", "timeout", () => {}),
  {
    name: "sends SETTINGS and GOAWAY in one segment",
    outcome: "rpc",
    start: () => http2Peer({ greeting: concat(settings(), goaway(0)) }),
  },
  answering("resets the stream", "rpc", ({ streamId, send }) => send(resetStream(streamId, 2))),
  answering(
    "closes the connection in place of an answer",
    "backend_unreachable",
    ({ close }) => close(),
  ),
  answering("sends header fields that do not decode", "rpc", ({ streamId, send }) => {
    const undecodable = new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff]);
    return send(frame(FrameType.HEADERS, FrameFlag.END_HEADERS, streamId, undecodable));
  }),
  answering("answers 404 with a page", "rpc", sendingPage("404")),
  answering("answers 200 with a page", "rpc", sendingPage("200")),
  answering(
    "answers 503 without a body",
    "rpc",
    ({ streamId, send }) => send(headers(streamId, { ":status": "503" }, { endStream: true })),
  ),
  answering("answers 502 with a page", "rpc", sendingPage("502")),
  // gRPC's C core takes it, since the status and the message are those of gRPC; grpc-go does not.
  answering("calls a good answer text/plain", "rpc", ({ streamId, send }) =>
    send(
      headers(streamId, { ":status": "200", "content-type": "text/plain" }),
      data(streamId, grpcMessage(healthResponse(1))),
      trailers(streamId),
    )),
  answering("ends the call with OK in trailers only", "rpc", sendingTrailersOnly("0")),
  answering("ends the call with UNIMPLEMENTED in trailers only", "rpc", sendingTrailersOnly("12")),
  answering("ends the call with DEADLINE_EXCEEDED at once", "rpc", sendingMessages([], "4")),
  answering("ends the call with a status that is no number", "rpc", sendingMessages([], "good")),
  answering("ends the call with OK and no message", "rpc", sendingMessages([])),
  answering(
    "says SERVING and ends the call with UNAVAILABLE",
    "rpc",
    sendingMessages([healthResponse(1)], "14"),
  ),
  answering("sends two messages", "rpc", sendingMessages([healthResponse(1), healthResponse(1)])),
  answering(
    "sends a message that does not decode",
    "rpc",
    sendingMessages([new Uint8Array([0x08, 0xff, 0xff])]),
  ),
  answering(
    "announces a message of two gigabytes",
    "rpc",
    ({ streamId, send }) =>
      send(responseHeaders(streamId), data(streamId, grpcMessage(healthResponse(1), 2 ** 31))),
  ),
  answering("sends a message of a hundred megabytes", "rpc", async ({ streamId, send }) => {
    await send(responseHeaders(streamId));
    await send(data(streamId, grpcMessage(new Uint8Array(10_000), 100e6)));
    const more = data(streamId, new Uint8Array(10_000));
    for (let sent = 0; sent < 100e6; sent += 10_000) await send(more);
  }),
  answering(
    "sends informational headers without end",
    "backend_unreachable",
    sendingWithoutEnd((streamId) => headers(streamId, { ":status": "103" })),
  ),
  answering(
    "acknowledges PINGs that nobody sent, without end",
    "backend_unreachable",
    sendingWithoutEnd(() => frame(FrameType.PING, FrameFlag.ACK, 0, new Uint8Array(8))),
  ),
  answering(
    "sends its answer byte by byte, and too slowly",
    "timeout",
    async ({ streamId, send }) => {
      for (const byte of healthAnswer(streamId)) {
        await send(new Uint8Array([byte]));
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
  ),
  answering("says a status that does not exist", "down", sendingMessages([healthResponse(999)])),
  answering("sends its answer byte by byte", "up", async ({ streamId, send }) => {
    for (const byte of healthAnswer(streamId)) await send(new Uint8Array([byte]));
  }),
];

/** Those of them that take much time to read. */
export const FLOODS: Fault[] = HTTP2_FAULTS.filter(({ name }) => name.endsWith("without end"));

type Answer = (call: Http2Call) => void | Promise<void>;

/** A peer that is healthy up to its answers. */
function answering(name: string, outcome: Outcome, answer: Answer): Fault {
  return { name, outcome, start: () => http2Peer({ answer }) };
}

function sendingPage(status: string): Answer {
  const page = "<!DOCTYPE html><title>Not here</title><p>Nothing to see.";
  return ({ streamId, send }) =>
    send(
      headers(streamId, { ":status": status, "content-type": "text/html" }),
      data(streamId, new TextEncoder().encode(page), { endStream: true }),
    );
}

function sendingTrailersOnly(grpcStatus: string): Answer {
  const fields = { ":status": "200", "content-type": "application/grpc" };
  return ({ streamId, send }) =>
    send(headers(streamId, { ...fields, "grpc-status": grpcStatus }, { endStream: true }));
}

function sendingMessages(messages: readonly Uint8Array[], grpcStatus = "0"): Answer {
  return ({ streamId, send }) =>
    send(
      responseHeaders(streamId),
      ...messages.map((message) => data(streamId, grpcMessage(message))),
      trailers(streamId, { "grpc-status": grpcStatus }),
    );
}

function sendingWithoutEnd(makeFrame: (streamId: number) => Uint8Array): Answer {
  return async ({ streamId, send }) => {
    const frames = concat(...Array(1000).fill(makeFrame(streamId)));
    for (;;) await send(frames);
  };
}
