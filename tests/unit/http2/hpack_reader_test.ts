import fc from "fast-check";
import assert from "node:assert/strict";
import { decodeHuffman, HpackError } from "../../../src/http2/hpack_reader.ts";
import { fromBits, HUFFMAN_CODES, huffmanEncode } from "../../lab/backends/http2/rfc7541_tables.ts";

const EOS = HUFFMAN_CODES[256] ?? "";

/** The code of a text, without padding. */
function codeOf(text: string): string {
  return [...text].map((character) => HUFFMAN_CODES[character.charCodeAt(0)]).join("");
}

/** Decodes all of `bytes`. */
function decode(bytes: Uint8Array): string {
  return String.fromCharCode(...decodeHuffman(bytes, 0, bytes.length));
}

Deno.test("decodeHuffman() knows the code of every byte", () => {
  assert.equal(HUFFMAN_CODES.length, 257);
  for (let byte = 0; byte < 256; byte++) {
    const text = String.fromCharCode(byte);
    assert.equal(decode(huffmanEncode(text)), text);
    assert.equal(decode(huffmanEncode(text.repeat(8))), text.repeat(8));
  }
});

Deno.test("decodeHuffman() gives back what was encoded, from any part of its bytes", () => {
  const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map(toCharacter) });
  fc.assert(fc.property(latin1, fc.uint8Array(), fc.uint8Array(), (text, before, after) => {
    const encoded = huffmanEncode(text);
    const bytes = Uint8Array.of(...before, ...encoded, ...after);
    const decoded = decodeHuffman(bytes, before.length, before.length + encoded.length);
    assert.equal(String.fromCharCode(...decoded), text);
  }));
});

const LONG = "Huffman padding is longer than 7 bits";
const NOT_ONES = "Huffman padding is not all ones";
const ENDED = "the Huffman symbol EOS is inside a string";

const REFUSED: readonly [string, string, string][] = [
  ["EOS alone", EOS + "11", ENDED],
  ["EOS at the end of a byte", "11" + EOS, ENDED],
  ["EOS after a symbol", codeOf("e") + EOS + "11111", ENDED],
  ["EOS before a symbol", EOS + codeOf("e") + "11111", ENDED],
  ["eight bits of padding", codeOf("X") + "11111111", LONG],
  ["a byte of padding alone", "11111111", LONG],
  ["ten bits of padding", codeOf(" ") + "1".repeat(10), LONG],
  ["29 bits of padding", codeOf("$ ") + EOS.slice(0, 29), LONG],
  ["a symbol that is cut", codeOf("\\").slice(0, 16), LONG],
  ["three bits of padding with a zero at their end", codeOf("e") + "110", NOT_ONES],
  ["three bits of padding with a zero at their start", codeOf("e") + "011", NOT_ONES],
  ["padding of zeros", codeOf("e") + "000", NOT_ONES],
  ["seven bits of padding with a zero", codeOf("e  ") + "1111110", NOT_ONES],
];

for (const [what, bits, message] of REFUSED) {
  Deno.test(`decodeHuffman() refuses ${what}`, () => {
    const bytes = fromBits(bits);
    assert.equal(bytes.length * 8, bits.length);
    assert.throws(() => decode(bytes), new HpackError(message));
  });
}

Deno.test("decodeHuffman() takes up to seven bits of padding", () => {
  // A code of 5 to 8 bits repeated ends at every bit of a byte.
  for (const character of "eXB ") {
    for (let count = 1; count <= 8; count++) {
      const text = character.repeat(count);
      assert.equal(decode(huffmanEncode(text)), text);
    }
  }
  assert.equal(decode(new Uint8Array()), "");
});

Deno.test("decodeHuffman() takes or refuses any bytes, and no two encodings for one text", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
    let decoded: string;
    try {
      decoded = decode(bytes);
    } catch (error) {
      assert(error instanceof HpackError);
      return;
    }
    assert.deepEqual(huffmanEncode(decoded), bytes);
  }));
});

function toCharacter(byte: number): string {
  return String.fromCharCode(byte);
}
