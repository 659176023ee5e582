import assert from "node:assert/strict";
import { UnaskedBackends } from "../../src/observe/unasked_backends.ts";

Deno.test("UnaskedBackends tells once of a backend that could not be asked for a minute", () => {
  let now = 0;
  const unasked = new UnaskedBackends(() => now);
  const told = [0, 30_000, 59_999, 60_000, 61_000].map((at) => {
    now = at;
    return unasked.add("a");
  });
  assert.deepEqual(told, [false, false, false, true, false]);
  assert.equal(unasked.count, 1);
});

Deno.test("UnaskedBackends begins anew after a check that was made, and counts each backend by itself", () => {
  let now = 0;
  const unasked = new UnaskedBackends(() => now);
  for (const key of ["a", "b"]) unasked.add(key);
  now = 59_000;
  unasked.delete("a");
  assert.equal(unasked.add("a"), false);
  now = 60_000;
  assert.deepEqual([unasked.add("a"), unasked.add("b"), unasked.count], [false, true, 1]);
});
