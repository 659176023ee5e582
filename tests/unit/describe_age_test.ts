import assert from "node:assert/strict";
import { describeAge } from "../../src/observe/describe_age.ts";

const FROM = "2026-01-01T00:00:00.000Z";

for (
  const [seconds, expected] of [
    [-5, "0 s"],
    [0.9, "0 s"],
    [119, "119 s"],
    [120, "2 min"],
    [7199, "119 min"],
    [7200, "2 h"],
    [172_799, "47 h"],
    [172_800, "2 days"],
    [864_000, "10 days"],
  ] as const
) {
  Deno.test(`describeAge() calls ${seconds} seconds ${expected}`, () => {
    const to = new Date(Date.parse(FROM) + seconds * 1000).toISOString();
    assert.equal(describeAge(FROM, to), expected);
  });
}
