import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import {
  encodeHeaders,
  type FieldToSend,
  type HeaderField,
  HpackDecoder,
  SIZE_UPDATE_TO_ZERO,
} from "../../src/http2/hpack.ts";
import {
  type Frame,
  frame,
  FrameReader,
  FrameType,
  PREFACE,
  settings,
} from "../lab/backends/http2/frames.ts";

const ACK = 1;
const END_STREAM_AND_HEADERS = 5;
const COMPRESSION_ERROR = 9;

const REQUEST: readonly FieldToSend[] = [
  { name: ":method", value: "POST" },
  { name: ":scheme", value: "http" },
  { name: ":path", value: "/grpc.health.v1.Health/Check" },
  { name: ":authority", value: "backend.test:50051" },
  { name: "te", value: "trailers" },
];

/** What a server got and what it answers with. */
interface Exchange {
  readonly sent: readonly FieldToSend[];
  readonly answer: Readonly<Record<string, string>>;
  readonly neverIndexed: readonly string[];
}

/** A server with nghttp2's HPACK on one connection with a client that speaks in raw frames. */
class Nghttp2Connection implements AsyncDisposable {
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
    await opened.#frame((frame) => frame.type === FrameType.SETTINGS && frame.flags !== ACK);
    await opened.#write(frame(FrameType.SETTINGS, ACK, 0));
    return opened;
  }

  /** Sends a request, and gives the frame that answers it: HEADERS or GOAWAY. */
  async ask(block: Uint8Array, exchange: Exchange): Promise<Frame> {
    this.#exchange = exchange;
    const streamId = this.#streamId;
    this.#streamId += 2;
    await this.#write(frame(FrameType.HEADERS, END_STREAM_AND_HEADERS, streamId, block));
    return await this.#frame(({ type }) => type === FrameType.HEADERS || type === FrameType.GOAWAY);
  }

  async #write(...frames: Uint8Array[]): Promise<void> {
    for (const frame of frames) {
      for (let at = 0; at < frame.length;) at += await this.#connection.write(frame.subarray(at));
    }
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

const name = fc.oneof(
  fc.constantFrom("content-type", "grpc-status", "grpc-message", "server", "x-a", "x-b", "etag"),
  fc.stringMatching(/^x-[a-z0-9_.-]{1,20}$/),
);

const value = fc.oneof(
  fc.constantFrom("", "0", "application/grpc", "a"),
  fc.stringMatching(/^[!-~]([ -~]{0,80}[!-~])?$/),
  fc.stringMatching(/^[!-~]([ -~]{900}[!-~])$/),
);

const exchange: fc.Arbitrary<Exchange> = fc.record({
  sent: fc.uniqueArray(
    fc.record({ name: fc.stringMatching(/^x-[a-z]{1,8}$/), value, sensitive: fc.boolean() }),
    { selector: (field) => field.name, maxLength: 6 },
  ),
  answer: fc.dictionary(name, value, { maxKeys: 8, noNullPrototype: true }),
  neverIndexed: fc.subarray(["x-a", "grpc-status"]),
});

Deno.test("HPACK of the agent and of nghttp2 understand each other through a connection's life", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(exchange, { minLength: 1, maxLength: 20 }), async (exchanges) => {
      await using server = await Nghttp2Connection.open(4096);
      const decoder = new HpackDecoder(65536);
      for (const exchange of exchanges) {
        const request = [...REQUEST, ...exchange.sent];
        const { type, payload } = await server.ask(encodeHeaders(request), exchange);
        assert.equal(type, FrameType.HEADERS);
        assert.deepEqual(server.received, request.flatMap(({ name, value }) => [name, value]));
        const fields = decoder.decode(payload).filter(([name]) => name !== "date");
        assert.deepEqual(
          sorted(fields),
          sorted([[":status", "200"], ...Object.entries(exchange.answer)]),
        );
      }
    }),
    { numRuns: 25 },
  );
});

/** The order of header fields of different names is node's affair. */
function sorted(fields: HeaderField[]): HeaderField[] {
  return fields.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

const NO_EXCHANGE: Exchange = { sent: [], answer: {}, neverIndexed: [] };

Deno.test("A server with a smaller header table takes requests once the first has a size update", async () => {
  await using server = await Nghttp2Connection.open(0);
  const block = encodeHeaders(REQUEST);
  const first = await server.ask(Uint8Array.of(SIZE_UPDATE_TO_ZERO, ...block), NO_EXCHANGE);
  assert.equal(first.type, FrameType.HEADERS);
  assert.equal((await server.ask(block, NO_EXCHANGE)).type, FrameType.HEADERS);
});

Deno.test("A server with a smaller header table ends a connection without a size update", async () => {
  await using server = await Nghttp2Connection.open(0);
  const { type, payload } = await server.ask(encodeHeaders(REQUEST), NO_EXCHANGE);
  assert.equal(type, FrameType.GOAWAY);
  assert.equal(new DataView(payload.buffer).getUint32(4), COMPRESSION_ERROR);
});
