import assert from "node:assert/strict";
import type { TimedCheck } from "../../src/observe/recent_durations.ts";
import { sparkline } from "../../src/observe/sparkline.ts";

const good = (durationMs: number): TimedCheck => ({ durationMs, failed: false });
const failed = (durationMs: number): TimedCheck => ({ durationMs, failed: true });

const ROWS: readonly [string, readonly TimedCheck[], string, string][] = [
  ["nothing", [], "", ""],
  ["one quick check, on the right", [good(0)], "M14 20v-1", ""],
  ["the slowest fills the height", [good(25), good(100)], "M10 20v-10M14 20v-20", ""],
  ["quick checks stay low", [good(5), good(20)], "M10 20v-10M14 20v-20", ""],
  ["a check that failed at once is seen", [good(80), failed(0)], "M10 20v-20", "M14 20v-4"],
  [
    "all places taken",
    [good(0), failed(20), good(0), good(0)],
    "M2 20v-1M10 20v-1M14 20v-1",
    "M6 20v-20",
  ],
];

for (const [what, checks, goodPath, failedPath] of ROWS) {
  Deno.test(`sparkline() draws ${what}`, () => {
    const { text } = sparkline(checks, 4);
    const path = (name: string) =>
      new RegExp(`<path class="${name}" d="([^"]*)"/>`).exec(text)?.[1] ?? "";
    assert.equal(path("g"), goodPath);
    assert.equal(path("f"), failedPath);
  });
}

Deno.test("sparkline() says in words what it shows", () => {
  assert.match(
    sparkline([good(3.4), failed(1000)], 4).text,
    /role="img" aria-label="Last 2 checks: longest 1000 ms, 1 failed"/,
  );
});
