import { freePort } from "../../machine/free_port.ts";
import { eventually } from "../../testing/eventually.ts";
import {
  acknowledgementOf,
  concat,
  data,
  endsStream,
  type Frame,
  FrameReader,
  grpcMessage,
  headers,
  healthResponse,
  PREFACE,
  settings,
} from "../http2/frames.ts";
import { close, PeerServer, send } from "./peer_server.ts";

/** One request to an {@linkcode http2Peer}, and the means to answer it. */
export interface Http2Call {
  streamId: number;
  /** The number of this request on its connection, from 1. */
  nth: number;
  /** Answers completely, and in one write; 1 is SERVING. */
  serve(status?: number): Promise<void>;
  /** Sends frames, or bytes that are no frames, in one write. */
  send(...frames: Uint8Array[]): Promise<void>;
  /** Closes the connection. */
  close(): void;
}

/** How an {@linkcode http2Peer} behaves. */
export interface Http2PeerOptions {
  /** Sent when the client has connected. @default {empty SETTINGS} */
  greeting?: Uint8Array;
  /** Called at the end of each request. @default {no answer} */
  answer?: (call: Http2Call) => void | Promise<void>;
}

/**
 * A server that greets and acknowledges as HTTP/2 demands, and answers as the test says. It can stand behind a
 * `Front`. A test that needs TLS, or its client's frames judged, takes a `ScriptedServer` instead.
 *
 * @param hostname where it listens
 */
export function http2Peer(options: Http2PeerOptions = {}, hostname = "127.0.0.1"): PeerServer {
  const { greeting = settings(), answer = () => {} } = options;
  return new PeerServer(async (connection) => {
    connection.setNoDelay();
    await send(connection, greeting);
    let requests = 0;
    for await (const frame of readFrames(connection)) {
      const reply = acknowledgementOf(frame);
      if (reply) await send(connection, reply);
      if (!endsStream(frame)) continue;
      const { streamId } = frame;
      await answer({
        streamId,
        nth: ++requests,
        serve: (status) => send(connection, healthAnswer(streamId, status)),
        send: (...frames) => send(connection, concat(...frames)),
        close: () => close(connection),
      });
    }
  }, { hostname, port: freePort() });
}

/** The head of a gRPC answer. */
export function responseHeaders(streamId: number, fields: Record<string, string> = {}): Uint8Array {
  return headers(streamId, { ":status": "200", "content-type": "application/grpc", ...fields });
}

/** The trailers of a gRPC answer. */
export function trailers(streamId: number, fields: Record<string, string> = {}): Uint8Array {
  return headers(streamId, { "grpc-status": "0", ...fields }, { endStream: true });
}

/** A complete and correct answer to a health check: 1 is SERVING. */
export function healthAnswer(streamId: number, status = 1): Uint8Array {
  return concat(
    responseHeaders(streamId),
    data(streamId, grpcMessage(healthResponse(status))),
    trailers(streamId),
  );
}

async function* readFrames(connection: Deno.TcpConn): AsyncGenerator<Frame> {
  const reader = new FrameReader();
  const buffer = new Uint8Array(16384);
  let preface = PREFACE.length;
  let count: number | null;
  while ((count = await connection.read(buffer)) !== null) {
    const skip = Math.min(preface, count);
    preface -= skip;
    yield* reader.push(buffer.slice(skip, count));
  }
}

/** A server that serves every call. */
export function healthyPeer(): PeerServer {
  return http2Peer({ answer: (call) => call.serve() });
}

/** A healthy peer whose answers wait until the test lets them go. */
export class GatedPeer implements AsyncDisposable {
  readonly server: PeerServer;
  /** Requests that wait for their answers. */
  readonly waiting: Http2Call[] = [];

  constructor(options: Pick<Http2PeerOptions, "greeting"> = {}) {
    this.server = http2Peer({ ...options, answer: (call) => void this.waiting.push(call) });
  }

  get port(): number {
    return this.server.port;
  }

  /** Waits until so many requests wait. */
  async requests(count: number): Promise<void> {
    await eventually(`${count} requests`, () => this.waiting.length === count);
  }

  /** Answers the request that has waited longest, or so many of them. */
  async answer(count = 1): Promise<void> {
    for (const call of this.waiting.splice(0, count)) await call.serve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]();
  }
}
