import assert from "node:assert/strict";
import { encodeHealthCall, type HealthCall } from "../../../src/grpc/request.ts";
import { HpackDecoder } from "../../../src/http2/hpack.ts";

const CALL = { authority: "api.internal:8443", tls: false, service: "" };

/** The fields of a call as the server reads them. */
function fieldsOf(call: HealthCall, timeoutMs = 1000): (readonly [string, string])[] {
  return new HpackDecoder(1e6).decode(call.headerBlock(timeoutMs)) ?? [];
}

Deno.test("encodeHealthCall() says what gRPC wants, in its order", () => {
  assert.deepEqual(fieldsOf(encodeHealthCall(CALL, new Map())), [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/grpc.health.v1.Health/Check"],
    [":authority", "api.internal:8443"],
    ["te", "trailers"],
    ["content-type", "application/grpc"],
    ["user-agent", "haproxy-grpc-agent"],
    ["grpc-timeout", "1000m"],
  ]);
  const [, scheme] = fieldsOf(encodeHealthCall({ ...CALL, tls: true }, new Map()));
  assert.deepEqual(scheme, [":scheme", "https"]);
});

const TIMEOUTS: readonly [number, string][] = [
  [-5, "1m"],
  [0, "1m"],
  [0.01, "1m"],
  [1.2, "2m"],
  [250, "250m"],
  [99_999_999, "99999999m"],
  [1e12, "99999999m"],
];

for (const [timeoutMs, value] of TIMEOUTS) {
  Deno.test(`A call with ${timeoutMs} ms left has the grpc-timeout ${value}`, () => {
    const fields = fieldsOf(encodeHealthCall(CALL, new Map()), timeoutMs);
    assert.deepEqual(fields.at(-1), ["grpc-timeout", value]);
  });
}

Deno.test("A call carries its metadata as fields that no table may keep", () => {
  const metadata = new Map([["authorization", "Bearer s3cret"], ["trace-bin", "AAECAw=="]]);
  const call = encodeHealthCall(CALL, metadata);
  assert.deepEqual(fieldsOf(call).slice(7, -1), [...metadata]);
  const block = call.headerBlock(1000);
  const at = new TextDecoder("latin1").decode(block).indexOf("Bearer s3cret");
  // RFC 7541, section 6.2.3: "never indexed", the name of the static table's entry 23, a length.
  assert.deepEqual(block.subarray(at - 3, at), Uint8Array.of(0x1f, 23 - 15, 13));
});

Deno.test("A call counts its headers as SETTINGS_MAX_HEADER_LIST_SIZE does", () => {
  const call = encodeHealthCall(CALL, new Map([["x", "yz"]]));
  const counted = fieldsOf(call, 99_999_999)
    .reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  assert.equal(call.headerListBytes, counted);
});

Deno.test("Each block of a call stands for itself, whatever was sent before", () => {
  const call = encodeHealthCall(CALL, new Map([["a", "b"]]));
  const decoder = new HpackDecoder(1e6);
  const [first, second] = [call.headerBlock(5), call.headerBlock(7)];
  assert.deepEqual(decoder.decode(second)?.at(-1), ["grpc-timeout", "7m"]);
  assert.deepEqual(decoder.decode(first)?.at(-1), ["grpc-timeout", "5m"]);
});
