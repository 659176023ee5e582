import fc from "fast-check";
import assert from "node:assert/strict";
import { escapeHtml, Html, markup } from "../../../src/status/markup.ts";

const ROWS: readonly [string, string][] = [
  ["plain", "plain"],
  ["<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"],
  [`" onload="x' a='`, "&quot; onload=&quot;x&#39; a=&#39;"],
  ["a & b &amp;", "a &amp; b &amp;amp;"],
  ["two\r\nlines\tand\0nul", "two\ufffd\ufffdlines\ufffdand\ufffdnul"],
  ["\u202eevil\u200b\u2028", "\ufffdevil\ufffd\ufffd"],
  ["lone \ud800", "lone \ufffd"],
  ["größe 測試 👍", "größe 測試 👍"],
];

for (const [text, expected] of ROWS) {
  Deno.test(`escapeHtml() makes ${JSON.stringify(text)} harmless`, () => {
    assert.equal(escapeHtml(text), expected);
  });
}

Deno.test("markup escapes text and takes HTML as it is", () => {
  const inner = markup`<i>${"<"}</i>`;
  assert.equal(
    markup`<p class="${'"'}">${inner}${[inner, inner]}${1.5}${""}</p>`.text,
    '<p class="&quot;"><i>&lt;</i><i>&lt;</i><i>&lt;</i>1.5</p>',
  );
});

Deno.test("markup lets no text leave its place, whatever it is", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const { text: written } = markup`<b title="${text}">${text}</b>`;
    assert.match(written, /^<b title="[^<>"']*">[^<>"']*<\/b>$/);
  }));
});

Deno.test("Html is what markup gives, so that nothing is escaped twice", () => {
  assert.ok(markup`a` instanceof Html);
});
