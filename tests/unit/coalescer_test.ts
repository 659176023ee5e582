import assert from "node:assert/strict";
import { Coalescer } from "../../src/check/coalescer.ts";

/** A task whose end the test decides. */
function controlled() {
  const runs: { signal: AbortSignal; end: (result: string) => void }[] = [];
  const begin = (signal: AbortSignal) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    runs.push({ signal, end: resolve });
    return promise;
  };
  return { runs, begin };
}

Deno.test("Coalescer gives equal tasks under way one run and one result", async () => {
  const { runs, begin } = controlled();
  const coalescer = new Coalescer<string>();
  const one = coalescer.join("a", begin);
  const two = coalescer.join("a", begin);
  assert.deepEqual([one.joined, two.joined, runs.length], [false, true, 1]);
  runs[0]?.end("done");
  assert.deepEqual(await Promise.all([one.result, two.result]), ["done", "done"]);
});

Deno.test("Coalescer keeps different tasks apart", () => {
  const { runs, begin } = controlled();
  const coalescer = new Coalescer<string>();
  coalescer.join("a", begin);
  assert.equal(coalescer.join("b", begin).joined, false);
  assert.equal(runs.length, 2);
});

Deno.test("Coalescer begins anew when the run has ended", async () => {
  const { runs, begin } = controlled();
  const coalescer = new Coalescer<string>();
  const one = coalescer.join("a", begin);
  runs[0]?.end("done");
  await one.result;
  await Promise.resolve();
  assert.equal(coalescer.join("a", begin).joined, false);
});

Deno.test("Coalescer ends a run when the last participant leaves, and not before", () => {
  const { runs, begin } = controlled();
  const coalescer = new Coalescer<string>();
  const one = coalescer.join("a", begin);
  const two = coalescer.join("a", begin);
  one.leave("first");
  assert.equal(runs[0]?.signal.aborted, false);
  two.leave("last");
  assert.equal(runs[0]?.signal.reason, "last");
  assert.equal(coalescer.join("a", begin).joined, false, "nobody joins what was ended");
});
