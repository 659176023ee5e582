import assert from "node:assert/strict";
import { judgeFlatness } from "../../soak/samples.ts";
import type { Sample } from "../../soak/samples.ts";

const SAMPLE: Sample = {
  ...{ second: 0, residentMb: 80, peakMb: 90, threads: 7, descriptors: 100, channels: 60 },
  ...{ timers: 40, connections: 20, checks: 3, up: 0, down: 0, error: 0 },
};

function samples(change: (index: number) => Partial<Sample>): Sample[] {
  return Array.from(
    { length: 400 },
    (_, index) => ({ ...SAMPLE, second: index, ...change(index) }),
  );
}

function problems(change: (index: number) => Partial<Sample>, minutes = 30): string[] {
  return judgeFlatness(samples(change), minutes).flatMap(({ problem }) => problem ?? []);
}

Deno.test("an agent that stays as it is does not grow", () => {
  assert.deepEqual(problems(() => ({})), []);
});

Deno.test("noise is no growth", () => {
  const noise = (index: number) => ({ residentMb: 80 + index % 20, descriptors: 100 + index % 30 });
  assert.deepEqual(problems(noise), []);
});

Deno.test("an agent that grows by a quarter in half the time grows", () => {
  const [problem, ...others] = problems((index) => ({ residentMb: 80 + index / 10 }));
  assert.match(problem ?? "", /^residentMb grew from 95/);
  assert.deepEqual(others, []);
});

Deno.test("one descriptor in ten seconds is growth", () => {
  assert.match(
    problems((index) => ({ descriptors: 100 + index / 10 })).join(),
    /^descriptors grew/,
  );
});

Deno.test("the memory of a short run is not judged, its descriptors are", () => {
  const growing = (index: number) => ({ residentMb: 80 + index, descriptors: 100 + index });
  assert.match(problems(growing, 1).join(), /^descriptors grew/);
});

Deno.test("peaks at the beginning are no growth", () => {
  assert.deepEqual(problems((index) => ({ residentMb: index < 100 ? 200 : 80 })), []);
});
