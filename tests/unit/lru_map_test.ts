import assert from "node:assert/strict";
import { LruMap } from "../../src/lru_map.ts";

/** A map of three entries at most, used in this order. */
function mapOf(...keys: string[]): LruMap<string, number> {
  const map = new LruMap<string, number>(3);
  keys.forEach((key, index) => map.set(key, index));
  return map;
}

function keysOf(map: LruMap<string, number>): string {
  return [...map].map(([key]) => key).join("");
}

const ROWS: readonly [string, (map: LruMap<string, number>) => void, string][] = [
  ["keeps the order of the last use", () => {}, "abc"],
  ["drops the least recently used", (map) => map.set("d", 4), "bcd"],
  ["takes a get for a use", (map) => map.get("a"), "bca"],
  ["takes a set of a known key for a use", (map) => map.set("a", 9), "bca"],
  ["drops nothing for a known key", (map) => map.set("b", 9), "acb"],
  ["takes a get of an unknown key for nothing", (map) => map.get("x"), "abc"],
  ["drops what was not used since", (map) => (map.get("a"), map.set("d", 4)), "cad"],
  ["deletes", (map) => map.delete("b"), "ac"],
  ["deletes nothing that it has not", (map) => map.delete("x"), "abc"],
];

for (const [what, change, left] of ROWS) {
  Deno.test(`LruMap ${what}`, () => {
    const map = mapOf("a", "b", "c");
    change(map);
    assert.equal(keysOf(map), left);
    assert.equal(map.size, left.length);
  });
}

Deno.test("LruMap gives the last value that was set", () => {
  const map = mapOf("a");
  map.set("a", 7);
  assert.equal(map.get("a"), 7);
  assert.equal(map.get("b"), undefined);
});

Deno.test("LruMap may lose entries while it is gone through", () => {
  const map = mapOf("a", "b", "c");
  for (const [key] of map) if (key !== "b") map.delete(key);
  assert.equal(keysOf(map), "b");
});
