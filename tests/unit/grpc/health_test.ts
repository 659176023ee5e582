import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { loadSync } from "@grpc/proto-loader";
import fc from "fast-check";
import {
  decodeHealthResponse,
  encodeHealthRequest,
  MessageError,
} from "../../../src/grpc/health.ts";

const PROTO = new URL("../../../proto/grpc/health/v1/health.proto", import.meta.url).pathname;

/** What proto-loader knows of a method, as far as it is used here. */
interface Method {
  readonly requestDeserialize: (bytes: Buffer) => { readonly service: string };
  readonly requestSerialize: (message: { readonly service: string }) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => { readonly status: string | number };
  readonly responseSerialize: (message: { readonly status: number }) => Buffer;
}

const definition = loadSync(PROTO, { enums: String, defaults: true, longs: String });
const { Check: check } = definition["grpc.health.v1.Health"] as unknown as Record<string, Method>;
assert.ok(check);
const oracle: Method = check;

const bytes = (...values: number[]) => Uint8Array.from(values);

/** The status by protobufjs; `undefined` where it does not take the message. */
function oracleStatus(message: Uint8Array): string | undefined {
  try {
    return `${oracle.responseDeserialize(Buffer.from(message)).status}`;
  } catch {
    return undefined;
  }
}

/** The status by the agent; `undefined` where it does not take the message. */
function ownStatus(message: Uint8Array): string | undefined {
  try {
    return decodeHealthResponse(message);
  } catch (error) {
    assert.ok(error instanceof MessageError, `It threw ${error}`);
    return undefined;
  }
}

Deno.test("encodeHealthRequest() writes what protobuf reads, with gRPC's prefix", () => {
  const service = fc.stringMatching(/^[A-Za-z0-9_.-]{0,253}$/);
  fc.assert(fc.property(service, (service) => {
    const encoded = encodeHealthRequest(service);
    const message = encoded.subarray(5);
    assert.deepEqual(encoded.subarray(0, 5), bytes(0, 0, 0, message.length >> 8, message.length));
    assert.equal(oracle.requestDeserialize(Buffer.from(message)).service, service);
    // protobufjs writes an empty name too.
    const written = service === "" ? [] : oracle.requestSerialize({ service });
    assert.deepEqual([...message], [...written]);
  }));
});

Deno.test("encodeHealthRequest() writes names of any length that a request may have", () => {
  for (const length of [0, 1, 125, 126, 127, 128, 253]) {
    const service = "s".repeat(length);
    const message = Buffer.from(encodeHealthRequest(service).subarray(5));
    assert.equal(oracle.requestDeserialize(message).service, service);
  }
});

Deno.test("decodeHealthResponse() reads what protobuf writes, for any number", () => {
  fc.assert(fc.property(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer()), (status) => {
    const message = oracle.responseSerialize({ status });
    assert.equal(decodeHealthResponse(message), oracleStatus(message));
  }));
});

const NESTED = (depth: number) => bytes(...Array(depth).fill(0x13), ...Array(depth).fill(0x14));
const VARINT_MAX = [255, 255, 255, 255, 255, 255, 255, 255, 255, 1];

const GOOD: readonly [string, Uint8Array, string][] = [
  ["nothing", bytes(), "UNKNOWN"],
  ["SERVING", bytes(8, 1), "SERVING"],
  ["a number of more bytes than it needs", bytes(8, 0x81, 0x80, 0x80, 0x00), "SERVING"],
  ["a tag of more bytes than it needs", bytes(0x88, 0x00, 1), "SERVING"],
  ["the last of two statuses", bytes(8, 1, 8, 2), "NOT_SERVING"],
  ["-1", bytes(8, ...VARINT_MAX), "-1"],
  ["a number whose lower 32 bits are 1", bytes(8, 0x81, 0x80, 0x80, 0x80, 0x10), "SERVING"],
  ["a number without a name", bytes(8, 4), "4"],
  ["an unknown number", bytes(0x10, 1, 8, 1), "SERVING"],
  ["an unknown string", bytes(0x12, 2, 8, 2, 8, 1), "SERVING"],
  ["unknown fixed fields", bytes(0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0x15, 0, 0, 0, 0, 8, 1), "SERVING"],
  ["an unknown group with a status in it", bytes(0x13, 8, 2, 0x14, 8, 1), "SERVING"],
  ["groups in groups", bytes(0x13, 0x1b, 0x1c, 0x14, 8, 1), "SERVING"],
  ["the highest field number", bytes(0xf8, 255, 255, 255, 0x0f, 0, 8, 1), "SERVING"],
];

for (const [what, message, status] of GOOD) {
  Deno.test(`decodeHealthResponse() reads ${what} as ${status}, as protobuf does`, () => {
    assert.equal(decodeHealthResponse(message), status);
    assert.equal(oracleStatus(message), status);
  });
}

const BAD: readonly [string, Uint8Array, string][] = [
  ["half a tag", bytes(0x88), "it breaks off in a number"],
  ["no value", bytes(8), "it breaks off in a number"],
  ["half a value", bytes(8, 0x81), "it breaks off in a number"],
  ["a value of 11 bytes", bytes(8, ...Array(10).fill(0x80), 0), "a number has more than 64 bits"],
  ["half a fixed field", bytes(0x15, 0, 0, 0), "it breaks off in a field"],
  ["half a long fixed field", bytes(0x11, 0, 0, 0, 0), "it breaks off in a field"],
  ["half a string", bytes(0x12, 3, 0, 0), "it breaks off in a field"],
  ["a string of 16 exabytes", bytes(0x12, ...VARINT_MAX), "it breaks off in a field"],
  ["a group without end", bytes(0x13, 8, 1), "it breaks off in a number"],
  ["the end of another group", bytes(0x13, 0x1c), "a group ends that has not begun"],
  ["the end of no group", bytes(0x14), "a field has the wire type 4"],
  ["an unknown wire type", bytes(0x16), "a field has the wire type 6"],
  ["another unknown wire type", bytes(0x17), "a field has the wire type 7"],
  ["a tag of six bytes", bytes(0x88, 0x80, 0x80, 0x80, 0x80, 0, 1), "a tag has too many bytes"],
  ["the field number 0", bytes(0x00, 1), "a field has the number 0"],
  ["groups too deep", NESTED(101), "groups are nested too deep"],
];

for (const [what, message, reason] of BAD) {
  Deno.test(`decodeHealthResponse() refuses ${what}`, () => {
    assert.throws(() => decodeHealthResponse(message), new MessageError(reason));
  });
}

/**
 * Where the agent refuses what protobufjs takes: what no server sends, and what protobuf's own parsers
 * (C++, Java, Go) refuse or drop.
 */
const STRICTER: readonly [string, Uint8Array][] = [
  ["a status of another wire type (others skip it as unknown)", bytes(0x0d, 1, 0, 0, 0)],
  ["a status as a string", bytes(0x0a, 1, 1)],
  ["a number of more than 64 bits", bytes(8, ...Array(9).fill(0x81), 2)],
  ["a field number above 2^29-1", bytes(0x80, 0x80, 0x80, 0x80, 0x10, 0)],
  ["groups deeper than a hundred", NESTED(101)],
  ["the field number 0", bytes(0x00, 1)],
];

for (const [what, message] of STRICTER) {
  Deno.test(`decodeHealthResponse() refuses ${what}, whatever protobufjs does`, () => {
    assert.throws(() => decodeHealthResponse(message), MessageError);
  });
}

/** Whether there may be a varint of six bytes or more: protobufjs takes each of those for ten bytes long. */
function hasLongVarint(message: Uint8Array): boolean {
  let continued = 0;
  return message.some((byte) => (continued = byte < 0x80 ? 0 : continued + 1) >= 5);
}

/** A field of any kind, mostly well formed. */
const field = fc.oneof(
  fc.constantFrom(bytes(8, 1), bytes(8, 2), bytes(8, 0)),
  fc.tuple(
    fc.integer({ min: 2, max: 40 }),
    fc.constantFrom(0, 1, 2, 5),
    fc.uint8Array({ maxLength: 9 }),
  )
    .map(([number, wireType, value]) => {
      const tag = number < 16
        ? [number << 3 | wireType]
        : [(number << 3 | wireType) & 0x7f | 0x80, number >> 4];
      if (wireType === 0) return bytes(...tag, ...value.map((byte) => byte | 0x80), 0);
      if (wireType === 1) return bytes(...tag, ...new Uint8Array(8));
      if (wireType === 5) return bytes(...tag, ...new Uint8Array(4));
      return bytes(...tag, value.length, ...value);
    }),
);

const message = fc.array(field, { maxLength: 6 })
  .map((fields) => bytes(...fields.flatMap((field) => [...field])));

Deno.test("decodeHealthResponse() agrees with protobuf on well-formed messages", () => {
  fc.assert(
    fc.property(message, (message) => {
      assert.equal(ownStatus(message), oracleStatus(message));
      assert.notEqual(ownStatus(message), undefined);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("decodeHealthResponse() takes nothing that protobuf refuses, and reads the rest alike", () => {
  const mutated = fc.tuple(
    message,
    fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom("set", "cut", "insert")), {
      maxLength: 3,
    }),
  ).map(([message, changes]) => {
    const result = [...message];
    for (const [at, byte, how] of changes) {
      const index = result.length === 0 ? 0 : at % result.length;
      if (how === "set") result[index] = byte;
      else if (how === "cut") result.length = index;
      else result.splice(index, 0, byte);
    }
    return bytes(...result);
  });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 12 })), (message) => {
      fc.pre(!hasLongVarint(message));
      const own = ownStatus(message);
      if (own !== undefined) assert.equal(own, oracleStatus(message));
    }),
    { numRuns: 5000 },
  );
});
