import assert from "node:assert/strict";
import fc from "fast-check";
import {
  encodeHeaders,
  type FieldToSend,
  type HeaderField,
  HpackDecoder,
  SIZE_UPDATE_TO_ZERO,
} from "../../src/http2/hpack.ts";
import { FrameType } from "../lab/backends/http2/frames.ts";
import { type Exchange, Nghttp2Connection } from "../lab/backends/http2/nghttp2_connection.ts";

const COMPRESSION_ERROR = 9;

const REQUEST: readonly FieldToSend[] = [
  { name: ":method", value: "POST" },
  { name: ":scheme", value: "http" },
  { name: ":path", value: "/grpc.health.v1.Health/Check" },
  { name: ":authority", value: "backend.test:50051" },
  { name: "te", value: "trailers" },
];

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
        const fields = (decoder.decode(payload) ?? []).filter(([name]) => name !== "date");
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
