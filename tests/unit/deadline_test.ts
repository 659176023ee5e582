import assert from "node:assert/strict";
import { setDeadline } from "../../src/check/deadline.ts";

/** Keeps the event loop from turning, as much work would. */
function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Sets a deadline, and gives when it passed, in milliseconds from now. */
async function passing(timeoutMs: number, putOffMs?: number): Promise<number> {
  const start = performance.now();
  await new Promise<void>((resolve) => setDeadline(resolve, timeoutMs, putOffMs));
  return performance.now() - start;
}

Deno.test("setDeadline() passes in its time where the event loop turns freely", async () => {
  assert.ok(await passing(20) >= 20);
});

Deno.test("setDeadline() does not pass while the process is behind with its own work", async () => {
  let turns = 0;
  const busy = setInterval(() => {
    if (++turns === 10) clearInterval(busy);
    work(30);
  }, 1);
  await passing(20);
  assert.equal(turns, 10);
});

Deno.test("setDeadline() is not put off for ever", async () => {
  const busy = setInterval(() => work(30), 1);
  const passed = await passing(20, 100);
  clearInterval(busy);
  assert.ok(passed >= 120 && passed < 400, `It passed after ${passed} ms`);
});

for (const [what, ms, readAfterMs] of [["its own work", 100, 5], ["a pause", 300, 30]] as const) {
  Deno.test(`setDeadline() leaves a moment for what came during ${what}`, async () => {
    let read = false;
    const passed = passing(20, 0).then(() => assert.ok(read, "The answer was not read"));
    work(ms);
    setTimeout(() => read = true, readAfterMs);
    await passed;
  });
}

Deno.test("setDeadline() can be taken back at any time", async () => {
  const cancel = setDeadline(() => assert.fail("It has passed"), 5);
  work(50);
  await new Promise((resolve) => setTimeout(resolve, 5)); // it has been put off now
  cancel();
  await new Promise((resolve) => setTimeout(resolve, 100)); // there is no event for what does not come
});
