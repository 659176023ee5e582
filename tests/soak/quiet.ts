import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "../lab/testing/eventually.ts";
import type { Sample, Sampler } from "./samples.ts";

/** Within this after its last client the agent must be as it was before the first, in milliseconds. */
const QUIET_WITHIN_MS = 40_000;

/** A sample of an agent that nobody has asked yet: the last of the least, as starting takes a moment. */
export async function calmSample(sampler: Sampler): Promise<Sample> {
  let least = await sampler.look();
  for (let look = 0; look < 4; look++) {
    await pause(250);
    const sample = await sampler.look();
    if (sample.descriptors <= least.descriptors) least = sample;
  }
  return least;
}

/** A sample as soon as nothing is left over, or the last one before it takes too long. */
export async function quietSample(sampler: Sampler, before: Sample): Promise<Sample> {
  let sample = await sampler.look();
  await eventually("the agent to be quiet", async () => {
    sample = await sampler.look();
    return leftovers(before, sample).length === 0;
  }, { timeoutMs: QUIET_WITHIN_MS, everyMs: 500 }).catch(() => {});
  return sample;
}

/** @returns what there is more of than before, in words */
export function leftovers(before: Sample, after: Sample): string[] {
  return (["descriptors", "timers", "channels", "connections", "checks"] as const)
    .filter((name) => after[name] > before[name])
    .map((name) =>
      `At the end there were ${after[name]} ${name}, at the beginning ${before[name]}`
    );
}
