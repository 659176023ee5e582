import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import type { FieldToSend } from "../../../../src/http2/hpack.ts";
import { send } from "../peers/peer_server.ts";
import {
  type Frame,
  frame,
  FrameFlag,
  FrameReader,
  FrameType,
  isAcknowledgement,
  PREFACE,
  settings,
} from "./frames.ts";

/** What a server got and what it answers with. */
export interface Exchange {
  readonly sent: readonly FieldToSend[];
  readonly answer: Readonly<Record<string, string>>;
  readonly neverIndexed: readonly string[];
}

/** A server with nghttp2's HPACK on one connection with a client that speaks in raw frames. */
export class Nghttp2Connection implements AsyncDisposable {
  readonly #server: http2.Http2Server;
  readonly #connection: Deno.TcpConn;
  readonly #reader = new FrameReader();
  readonly #frames: Frame[] = [];
  /** The answer to the next request. */
  #exchange: Exchange = { sent: [], answer: {}, neverIndexed: [] };
  /** Names and values of the last request, one after the other. */
  received: readonly string[] = [];
  #streamId = 1;

  private constructor(server: http2.Http2Server, connection: Deno.TcpConn) {
    this.#server = server;
    this.#connection = connection;
    const answer = (
      stream: http2.ServerHttp2Stream,
      _headers: http2.IncomingHttpHeaders,
      _flags: number,
      rawHeaders: readonly string[],
    ) => {
      this.received = rawHeaders;
      const { answer: fields, neverIndexed } = this.#exchange;
      const headers = { ":status": 200, ...fields, [http2.sensitiveHeaders]: [...neverIndexed] };
      stream.respond(headers, { endStream: true });
    };
    server.on("stream", answer);
  }

  /** Returns when the server's SETTINGS are acknowledged, as the client has to say first. */
  static async open(headerTableSize: number): Promise<Nghttp2Connection> {
    const server = http2.createServer({ settings: { headerTableSize } });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.setNoDelay();
    const opened = new Nghttp2Connection(server, connection);
    await opened.#write(PREFACE, settings());
    await opened.#frame((frame) => frame.type === FrameType.SETTINGS && !isAcknowledgement(frame));
    await opened.#write(frame(FrameType.SETTINGS, FrameFlag.ACK, 0));
    return opened;
  }

  /** Sends a request, and gives the frame that answers it: HEADERS or GOAWAY. */
  async ask(block: Uint8Array, exchange: Exchange): Promise<Frame> {
    this.#exchange = exchange;
    const streamId = this.#streamId;
    this.#streamId += 2;
    await this.#write(
      frame(FrameType.HEADERS, FrameFlag.END_STREAM | FrameFlag.END_HEADERS, streamId, block),
    );
    return await this.#frame(({ type }) => type === FrameType.HEADERS || type === FrameType.GOAWAY);
  }

  async #write(...frames: Uint8Array[]): Promise<void> {
    for (const frame of frames) await send(this.#connection, frame);
  }

  async #frame(wanted: (frame: Frame) => boolean): Promise<Frame> {
    const buffer = new Uint8Array(65536);
    for (;;) {
      for (let next = this.#frames.shift(); next; next = this.#frames.shift()) {
        if (wanted(next)) return next;
      }
      const count = await this.#connection.read(buffer);
      assert(count !== null, "the server closed the connection");
      this.#frames.push(...this.#reader.push(buffer.subarray(0, count)));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.close();
    this.#server.close();
    await once(this.#server, "close");
  }
}
