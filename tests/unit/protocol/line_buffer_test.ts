import fc from "fast-check";
import assert from "node:assert/strict";
import { LineBuffer } from "../../../src/protocol/line_buffer.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Puts `text` in, as much at a time as there is room for, and takes out all lines. */
function feed(lines: LineBuffer, text: string): string[] {
  const taken: string[] = [];
  let bytes = encoder.encode(text);
  do {
    const space = lines.space();
    const count = Math.min(space.length, bytes.length);
    space.set(bytes.subarray(0, count));
    lines.fill(count);
    bytes = bytes.subarray(count);
    for (let line = lines.next(); line !== undefined; line = lines.next()) {
      taken.push(decoder.decode(line));
    }
  } while (bytes.length > 0 && !lines.overlong);
  return taken;
}

const CUTS: readonly [string, readonly string[], readonly string[], string][] = [
  ["a line", ["a\n"], ["a"], ""],
  ["two lines at once", ["a\nb\n"], ["a", "b"], ""],
  ["a line in pieces", ["a", "b", "\n"], ["ab"], ""],
  ["an unfinished line", ["a\nb"], ["a"], "b"],
  ["\\r as an end", ["a\rb\r"], ["a", "b"], ""],
  ["\\r\\n as one end", ["a\r\nb\r\n"], ["a", "b"], ""],
  ["\\r and \\n in two pieces as one end", ["a\r", "\nb\n"], ["a", "b"], ""],
  ["\\n\\r as two ends", ["a\n\rb\n"], ["a", "", "b"], ""],
  ["\\r\\r as two ends", ["a\r\rb\n"], ["a", "", "b"], ""],
  ["an empty line", ["\n"], [""], ""],
  ["a line as long as allowed", ["12345678\n"], ["12345678"], ""],
];

for (const [what, pieces, expected, rest] of CUTS) {
  Deno.test(`LineBuffer cuts ${what}`, () => {
    const lines = new LineBuffer(8);
    assert.deepEqual(pieces.flatMap((piece) => feed(lines, piece)), expected);
    assert.equal(decoder.decode(lines.rest), rest);
    assert.equal(lines.overlong, false);
  });
}

for (const end of ["\n", "\r", "\r\n"]) {
  Deno.test(`LineBuffer takes ${JSON.stringify(end)} after takeRest() as the end of that line`, () => {
    const lines = new LineBuffer(8);
    assert.deepEqual(feed(lines, "a"), []);
    assert.equal(decoder.decode(lines.takeRest()), "a");
    assert.deepEqual(feed(lines, `${end}b\n`), ["b"]);
  });
}

Deno.test("LineBuffer takes only one line end after takeRest()", () => {
  const lines = new LineBuffer(8);
  feed(lines, "a");
  lines.takeRest();
  assert.deepEqual(feed(lines, "\n\n"), [""]);
});

Deno.test("LineBuffer begins a new line where none ends after takeRest()", () => {
  const lines = new LineBuffer(8);
  feed(lines, "a");
  lines.takeRest();
  assert.deepEqual(feed(lines, "b\n"), ["b"]);
});

Deno.test("LineBuffer.overlong is set by one byte more than allowed", () => {
  const lines = new LineBuffer(8);
  assert.deepEqual(feed(lines, "12345678"), []);
  assert.equal(lines.overlong, false);
  assert.deepEqual(feed(lines, "9"), []);
  assert.equal(lines.overlong, true);
});

Deno.test("LineBuffer.overlong is not set by lines that wait to be taken", () => {
  const lines = new LineBuffer(8);
  lines.space().set(encoder.encode("1\n2\n3\n4\n5"));
  lines.fill(9);
  assert.equal(lines.overlong, false);
});

Deno.test("LineBuffer cuts the same lines however the bytes arrive", () => {
  const text = fc.array(fc.constantFrom("a", "bc", "\n", "\r", "\r\n"), { maxLength: 40 })
    .map((parts) => parts.join("")).filter((text) => !/[^\r\n]{33}/.test(text));
  fc.assert(
    fc.property(text, fc.array(fc.integer({ min: 1, max: 5 })), (text, sizes) => {
      const whole = feed(new LineBuffer(32), text);
      const lines = new LineBuffer(32);
      const pieces: string[] = [];
      let rest = text;
      for (const size of sizes) {
        pieces.push(rest.slice(0, size));
        rest = rest.slice(size);
      }
      pieces.push(rest);
      assert.deepEqual(pieces.flatMap((piece) => feed(lines, piece)), whole);
      assert.deepEqual(whole, text.split(/\r\n|\r|\n/).slice(0, -1));
    }),
  );
});
