import assert from "node:assert/strict";
import { RECENT_CHECKS, RecentDurations } from "../../src/observe/recent_durations.ts";

for (const count of [0, 1, 2, 29, 30, 31, 59, 60, 61, 100]) {
  Deno.test(`RecentDurations lists the last checks of ${count}, oldest first`, () => {
    const durations = new RecentDurations();
    const all = Array.from({ length: count }, (_, index) => ({
      durationMs: index,
      failed: index % 3 === 0,
    }));
    for (const { durationMs, failed } of all) durations.add(durationMs, failed);
    assert.deepEqual(durations.list(), all.slice(-RECENT_CHECKS));
    assert.equal(durations.lastMs, all.at(-1)?.durationMs ?? 0);
  });
}
