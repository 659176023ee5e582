import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import {
  encodeHeaders,
  type HeaderField,
  HpackDecoder,
  SIZE_UPDATE_TO_ZERO,
  STATIC_TABLE,
} from "../../../src/http2/hpack.ts";
import { HpackError, HpackReader } from "../../../src/http2/hpack_reader.ts";
import { HpackEncoder } from "../../lab/backends/http2/hpack_encoder.ts";
import { STATIC_FIELDS } from "../../lab/backends/http2/rfc7541_tables.ts";

const MAX_LIST_BYTES = 16384;

/** Bytes from hexadecimal digits and blanks. */
function hex(digits: string): Uint8Array {
  return Uint8Array.from(Buffer.from(digits.replaceAll(/\s/g, ""), "hex"));
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** What the decoder's dynamic table holds, newest field first, found by asking for each index. */
function tableOf(decoder: HpackDecoder): HeaderField[] {
  const table: HeaderField[] = [];
  for (let index = 62;; index++) {
    const block = index < 127 ? [0x80 | index] : [0xff, index - 127];
    try {
      table.push(...decoder.decode(Uint8Array.from(block)) ?? []);
    } catch (error) {
      assert.deepEqual(error, new HpackError(`no header field has index ${index}`));
      return table;
    }
  }
}

/** Splits "name: value" lines; a name may begin with a colon. */
function fieldsOf(lines: readonly string[]): [string, string][] {
  return lines.map((line) => {
    const colon = line.indexOf(": ");
    return [line.slice(0, colon), line.slice(colon + 2)];
  });
}

Deno.test("the static table is that of RFC 7541, appendix A", () => {
  assert.deepEqual(STATIC_TABLE, STATIC_FIELDS);
});

const INTEGERS: readonly [string, number, string, number][] = [
  ["C.1.1", 5, "0a", 10],
  ["C.1.1, other bits set", 5, "ea", 10],
  ["C.1.2", 5, "1f9a0a", 1337],
  ["C.1.3", 8, "2a", 42],
  ["the largest of a prefix", 7, "7e", 126],
  ["the smallest beyond a prefix", 7, "7f00", 127],
  ["zeros at the end", 5, "1f8080808000", 31],
  ["the largest of all", 7, "7f80ffffff07", 2 ** 31 - 1],
];

for (const [what, prefixBits, bytes, value] of INTEGERS) {
  Deno.test(`HpackReader reads an integer: ${what}`, () => {
    const reader = new HpackReader(hex(bytes));
    assert.equal(reader.integer(prefixBits), value);
    assert(reader.done);
  });
}

const DATE_21 = "date: Mon, 21 Oct 2013 20:13:21 GMT";
const DATE_22 = "date: Mon, 21 Oct 2013 20:13:22 GMT";
const LOCATION = "location: https://www.example.com";
const COOKIE = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const REQUEST = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const RESPONSE = ["cache-control: private", DATE_21, LOCATION];

/** The lists of C.3 and C.4, and the dynamic table after each. */
const REQUESTS: readonly [string[], string[]][] = [
  [REQUEST, [":authority: www.example.com"]],
  [
    [...REQUEST, "cache-control: no-cache"],
    ["cache-control: no-cache", ":authority: www.example.com"],
  ],
  [
    [
      ":method: GET",
      ":scheme: https",
      ":path: /index.html",
      ":authority: www.example.com",
      "custom-key: custom-value",
    ],
    ["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"],
  ],
];

/** The lists of C.5 and C.6, and the dynamic table after each, which may hold 256 bytes. */
const RESPONSES: readonly [string[], string[]][] = [
  [[":status: 302", ...RESPONSE], [LOCATION, DATE_21, "cache-control: private", ":status: 302"]],
  [[":status: 307", ...RESPONSE], [":status: 307", LOCATION, DATE_21, "cache-control: private"]],
  [
    [":status: 200", "cache-control: private", DATE_22, LOCATION, "content-encoding: gzip", COOKIE],
    [COOKIE, "content-encoding: gzip", DATE_22],
  ],
];

/** The first block of C.5 and C.6 has a table size update to 256 before it, for their setting. */
const SIZE_256 = "3fe101";

/** RFC 7541, appendix C: blocks of one connection, each with its list and the table after it. */
const EXAMPLES: readonly [string, readonly string[], readonly [string[], string[]][]][] = [
  [
    "C.2.1 literal with indexing",
    ["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"],
    [[["custom-key: custom-header"], ["custom-key: custom-header"]]],
  ],
  [
    "C.2.2 literal without indexing",
    ["040c 2f73 616d 706c 652f 7061 7468"],
    [[[":path: /sample/path"], []]],
  ],
  [
    "C.2.3 literal never indexed",
    ["1008 7061 7373 776f 7264 0673 6563 7265 74"],
    [[["password: secret"], []]],
  ],
  ["C.2.4 indexed", ["82"], [[[":method: GET"], []]]],
  [
    "C.3 requests without Huffman",
    [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
    REQUESTS,
  ],
  [
    "C.4 requests with Huffman",
    [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
    REQUESTS,
  ],
  [
    "C.5 responses without Huffman, with evictions",
    [
      `${SIZE_256} 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
       2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63
       6f6d`,
      "4803 3330 37c1 c0bf",
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04
       677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49
       553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
    ],
    RESPONSES,
  ],
  [
    "C.6 responses with Huffman, with evictions",
    [
      `${SIZE_256} 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
       2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
      "4883 640e ffc1 c0bf",
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7
       821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed
       4ee5 b106 3d50 07`,
    ],
    RESPONSES,
  ],
];

for (const [what, blocks, expected] of EXAMPLES) {
  Deno.test(`HpackDecoder decodes the examples of RFC 7541, ${what}`, () => {
    const decoder = new HpackDecoder(MAX_LIST_BYTES);
    assert.equal(blocks.length, expected.length);
    for (const [nth, [fields, table]] of expected.entries()) {
      assert.deepEqual(decoder.decode(hex(blocks[nth] ?? "")), fieldsOf(fields));
      assert.deepEqual(tableOf(decoder), fieldsOf(table));
    }
  });
}

/** "x-a: " and 37 times "b", with indexing: it counts 72 bytes. */
const X_A = `40 03782d61 25${"62".repeat(37)}`;

/** The same with one "b" more. */
const X_B = `40 03782d61 26${"62".repeat(38)}`;

const TABLES: readonly [string, string[], number[]][] = [
  ["a field as large as the table", [`3f29 ${X_A}`], [72]],
  ["a field one byte larger than the table, which empties it", [X_A, `3f28 ${X_A}`], []],
  ["a field inserted after one has emptied it", [`3f29 ${X_A}${X_B}${X_A}`], [72]],
  ["no field at all in a table of size 0", [`20 ${X_A}`], []],
  ["no field from before a size update to 0 and back", [X_A, "203fe11f"], []],
  ["fields again after such an update", [X_A, `203fe11f ${X_A}`], [72]],
  ["what a smaller table has room for, newest first", [`400161 00 ${X_A}`, "3f30"], [72]],
  ["all of a table that a size update leaves large enough", [`400161 00 ${X_A}`, "3f4a"], [72, 33]],
  ["a name taken from the field that its own field evicts", [`3f2a ${X_A}`, "7e 0163"], [36]],
  ["nothing of literals that are not to be indexed", ["0001610162 1001610162 04012f"], []],
];

for (const [what, blocks, sizes] of TABLES) {
  Deno.test(`HpackDecoder keeps in its table ${what}`, () => {
    const decoder = new HpackDecoder(MAX_LIST_BYTES);
    for (const block of blocks) decoder.decode(hex(block));
    const table = tableOf(decoder);
    assert.deepEqual(table.map(([name, value]) => name.length + value.length + 32), sizes);
  });
}

Deno.test("HpackDecoder gives the same objects for fields that it has in a table", () => {
  const decoder = new HpackDecoder(MAX_LIST_BYTES);
  const first = decoder.decode(hex(`88 ${X_A}`));
  const second = decoder.decode(hex("88be"));
  assert.ok(first && second);
  assert.strictEqual(second[0], first[0]);
  assert.strictEqual(second[1], first[1]);
});

Deno.test("HpackDecoder takes an empty block, and one of a size update alone", () => {
  const decoder = new HpackDecoder(MAX_LIST_BYTES);
  assert.deepEqual(decoder.decode(new Uint8Array()), []);
  assert.deepEqual(decoder.decode(hex("3fe11f")), []);
  assert.deepEqual(decoder.decode(hex("203fe11f88")), [[":status", "200"]]);
});

Deno.test("HpackDecoder takes a list as long as allowed", () => {
  assert.deepEqual(new HpackDecoder(42).decode(hex("88")), [[":status", "200"]]);
  assert.equal(new HpackDecoder(41).decode(hex("88")), undefined);
});

Deno.test("HpackDecoder keeps its table through a list that is too long", () => {
  const decoder = new HpackDecoder(100);
  const later = "40 03782d62 0163"; // x-b: c, behind what is too long already
  assert.equal(decoder.decode(hex(`88 ${X_A} ${later}`)), undefined);
  assert.deepEqual(decoder.decode(hex("be")), [["x-b", "c"]]);
});

Deno.test("HpackDecoder takes bytes as they are, one character each", () => {
  const text = String.fromCharCode(...new Uint8Array(256).keys());
  const bytes = [...new Uint8Array(256).keys()];
  const block = Uint8Array.of(0x00, 0x7f, 0x81, 0x01, ...bytes, 0x7f, 0x81, 0x01, ...bytes);
  assert.deepEqual(new HpackDecoder(MAX_LIST_BYTES).decode(block), [[text, text]]);
});

Deno.test("HpackDecoder takes a value of a megabyte if the bound allows it", () => {
  const value = Buffer.alloc(1_000_000, "abc").toString();
  const block = encodeHeaders([{ name: "a", value }]);
  assert.deepEqual(new HpackDecoder(2_000_000).decode(block), [["a", value]]);
});

const ENDS_INSIDE = "the header block ends inside a field";
const TOO_LONG = "a string is longer than what is left of the header block";
const TOO_LARGE = "an integer in the header block is above 2147483647";
const TOO_MANY = "an integer in the header block has more than 5 continuation bytes";

const MALFORMED: readonly [string, string, string][] = [
  ["index 0", "80", "no header field has index 0"],
  ["an index beyond the static table", "be", "no header field has index 62"],
  ["an index beyond the dynamic table", `${X_A} bf`, "no header field has index 63"],
  ["a name's index beyond the tables", "7e0161", "no header field has index 62"],
  ["the largest index", "ff80ffffff07", "no header field has index 2147483647"],
  ["an integer above the largest", "ff81ffffff07", TOO_LARGE],
  ["an integer of 35 bits", "ffffffffff7f", TOO_LARGE],
  ["an integer with too many zeros", "ff808080808000", TOO_MANY],
  ["an integer without end", "ff8080808080", TOO_MANY],
  ["an index that is cut", "ff", ENDS_INSIDE],
  ["an index that is cut later", "ff8080", ENDS_INSIDE],
  ["no name", "40", ENDS_INSIDE],
  ["no value", "400161", ENDS_INSIDE],
  ["no value after a name's index", "48", ENDS_INSIDE],
  ["a value's length that is cut", "487f", ENDS_INSIDE],
  ["a size update that is cut", "3f", ENDS_INSIDE],
  ["a name longer than the block", "400261", TOO_LONG],
  ["a name in Huffman code longer than the block", "40836402", TOO_LONG],
  ["a value longer than the block", "4803 3230", TOO_LONG],
  ["a Huffman value longer than the block", "4882 64", TOO_LONG],
  ["a string of 2 GiB", "487f80ffffff07", TOO_LONG],
  ["a size update above 4096", "3fe21f", "a table size update to 4097 is above 4096"],
  ["a size update after a field", "8820", "a table size update comes after a field"],
  ["three size updates", "202020", "the header block has more than 2 size updates"],
  ["zeros as padding", "4881 00", "Huffman padding is not all ones"],
  ["a byte of padding", "4881 ff", "Huffman padding is longer than 7 bits"],
  ["EOS in a string", "4884 ffffffff", "the Huffman symbol EOS is inside a string"],
  ["EOS in a name", "4084 ffffffff 00", "the Huffman symbol EOS is inside a string"],
];

for (const [what, block, message] of MALFORMED) {
  Deno.test(`HpackDecoder refuses ${what}`, () => {
    const decoder = new HpackDecoder(MAX_LIST_BYTES);
    assert.throws(() => decoder.decode(hex(block)), new HpackError(message));
  });
}

Deno.test("HpackDecoder refuses a short block that expands to far more than its bound", () => {
  const value = "b".repeat(4000);
  const decoder = new HpackDecoder(MAX_LIST_BYTES);
  decoder.decode(Uint8Array.from(
    new HpackEncoder().field({
      name: "a",
      value,
      literal: "incremental",
      indexed: false,
      huffman: false,
    }),
  ));
  assert.equal(decoder.decode(new Uint8Array(16384).fill(0xbe)), undefined);
});

/** Text of any bytes, and often of a few so that fields come again. */
const latin1 = fc.oneof(
  fc.constantFrom("", "a", "b", "content-type", ":status", "200", "grpc-status", "date"),
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)) }),
  fc.string({ unit: "grapheme-ascii", maxLength: 300 }),
);

const coding = fc.record({
  name: latin1,
  value: latin1,
  literal: fc.constantFrom("incremental", "incremental", "without", "never"),
  indexed: fc.boolean(),
  huffman: fc.boolean(),
});

const sentBlock = fc.record({
  sizeUpdates: fc.array(fc.integer({ min: 0, max: 4096 }), { maxLength: 2 }),
  codings: fc.array(coding, { maxLength: 12 }),
});

Deno.test("HpackDecoder gives back what another encoder sent, and keeps the same table", () => {
  fc.assert(fc.property(fc.array(sentBlock, { maxLength: 8 }), (blocks) => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(1_000_000);
    for (const { sizeUpdates, codings } of blocks) {
      const bytes = [
        ...sizeUpdates.flatMap((size) => encoder.sizeUpdate(size)),
        ...codings.flatMap((coding) => encoder.field(coding)),
      ];
      const sent = codings.map(({ name, value }) => [name, value]);
      assert.deepEqual(decoder.decode(Uint8Array.from(bytes)), sent);
      assert.deepEqual(tableOf(decoder), encoder.table);
    }
  }));
});

/** A good block with a few bytes changed, or any bytes. */
const hostileBlock = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.tuple(fc.array(coding, { maxLength: 5 }), fc.array(fc.tuple(fc.nat(), fc.nat(255)))).map(
    ([codings, changes]) => {
      const encoder = new HpackEncoder();
      const bytes = Uint8Array.from(codings.flatMap((coding) => encoder.field(coding)));
      for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
      return bytes;
    },
  ),
);

Deno.test("HpackDecoder turns any bytes into a list within its bound or an HpackError", () => {
  fc.assert(
    fc.property(fc.array(hostileBlock, { maxLength: 5 }), fc.nat(2000), (blocks, maxListBytes) => {
      const decoder = new HpackDecoder(maxListBytes);
      try {
        for (const block of blocks) {
          const list = decoder.decode(block) ?? [];
          assert(sizeOf(list) <= maxListBytes);
        }
      } catch (error) {
        assert(error instanceof HpackError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

function sizeOf(fields: readonly HeaderField[]): number {
  return fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
}

const ENCODED: readonly [string, Parameters<typeof encodeHeaders>[0], string][] = [
  ["nothing", [], ""],
  ["a field of the static table", [{ name: ":method", value: "POST" }], "83"],
  ["the last of fields with one name", [{ name: ":status", value: "500" }], "8e"],
  ["a field without value", [{ name: ":authority", value: "" }], "81"],
  ["a name of the static table", [{ name: ":path", value: "/a" }], "04022f61"],
  ["a name beyond 14", [{ name: "user-agent", value: "b" }], "0f2b0162"],
  ["a name of its own", [{ name: "te", value: "trailers" }], "00027465087472 61696c657273"],
  ["a sensitive field", [{ name: "authorization", value: "b", sensitive: true }], "1f080162"],
  ["a sensitive one of its own name", [{ name: "k", value: "b", sensitive: true }], "10016b0162"],
  [
    "a sensitive one of the table",
    [{ name: ":method", value: "GET", sensitive: true }],
    "1203474554",
  ],
  ["bytes above 127", [{ name: "k", value: "\x00\x80\xff" }], "00016b030080ff"],
  ["a long value", [{ name: "k", value: "a".repeat(300) }], `00016b7fad01${"61".repeat(300)}`],
];

for (const [what, fields, expected] of ENCODED) {
  Deno.test(`encodeHeaders() encodes ${what}`, () => {
    assert.equal(hexOf(encodeHeaders(fields)), expected.replaceAll(" ", ""));
  });
}

Deno.test("encodeHeaders() refuses a character that is no byte", () => {
  const message = "A header field has a character that is no byte";
  assert.throws(() => encodeHeaders([{ name: "a", value: "\u0100" }]), new RangeError(message));
  assert.throws(() => encodeHeaders([{ name: "\u0161", value: "" }]), new RangeError(message));
});

Deno.test("encodeHeaders() encodes what HpackDecoder decodes, and leaves its table alone", () => {
  const field = fc.record({ name: latin1, value: latin1, sensitive: fc.boolean() });
  fc.assert(fc.property(fc.array(field), (fields) => {
    const decoder = new HpackDecoder(1_000_000);
    const block = Uint8Array.of(SIZE_UPDATE_TO_ZERO, ...encodeHeaders(fields));
    assert.deepEqual(decoder.decode(block), fields.map(({ name, value }) => [name, value]));
    assert.deepEqual(tableOf(decoder), []);
  }));
});
