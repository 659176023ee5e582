import assert from "node:assert/strict";
import { UnorderedSet } from "../../src/unordered_set.ts";

/** A set of the letters of a word. */
function setOf(word: string): UnorderedSet<string> {
  const set = new UnorderedSet<string>();
  for (const letter of word) set.add(letter);
  return set;
}

function wordOf(set: UnorderedSet<string>): string {
  return [...set].sort().join("");
}

for (const letter of "abc") {
  Deno.test(`UnorderedSet deletes ${letter} from abc and keeps the others`, () => {
    const set = setOf("abc");
    assert.equal(set.delete(letter), true);
    assert.equal(wordOf(set), "abc".replace(letter, ""));
    assert.equal(set.size, 2);
    assert.equal(set.delete(letter), false);
    assert.equal(set.size, 2);
  });
}

Deno.test("UnorderedSet finds what is in it", () => {
  const set = setOf("abc");
  assert.equal(set.find((letter) => letter > "a" && letter < "c"), "b");
  assert.equal(set.find((letter) => letter > "c"), undefined);
});

Deno.test("UnorderedSet can be emptied and filled while it is gone through", () => {
  const set = setOf("abc");
  const seen: string[] = [];
  for (const letter of set) {
    seen.push(letter);
    for (const other of "abc") set.delete(other);
    set.add("d");
  }
  assert.deepEqual(seen.sort(), ["a", "b", "c"]);
});
