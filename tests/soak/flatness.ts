import { median } from "../lab/testing/durations.ts";
import type { Sample } from "./samples.ts";

/** One figure of the agent, early and late in the run. */
export interface Flatness {
  readonly figure: "residentMb" | "descriptors" | "timers" | "channels" | "threads";
  /** Its median in the second quarter, and in the last. */
  readonly early: number;
  readonly late: number;
  /** What the late one may be at most. */
  readonly bound: number;
  readonly problem: string | undefined;
}

/** How much more it may be: a share, and a number that is noise at any size. */
const ALLOWED: Record<Flatness["figure"], { share: number; number: number }> = {
  residentMb: { share: 0.1, number: 4 },
  descriptors: { share: 0.1, number: 8 },
  timers: { share: 0.1, number: 8 },
  channels: { share: 0.1, number: 8 },
  threads: { share: 0, number: 2 },
};

/** The memory of a shorter run is that of a program that is still warming up, in minutes. */
const WARM_AFTER_MINUTES = 8;

/** @returns whether the agent grows: the last quarter against the second, by medians */
export function judgeFlatness(samples: readonly Sample[], minutes: number): Flatness[] {
  const quarter = Math.floor(samples.length / 4);
  const figures = Object.keys(ALLOWED) as Flatness["figure"][];
  return figures.map((figure) => {
    const values = samples.map((sample) => sample[figure]);
    const early = median(values.slice(quarter, 2 * quarter));
    const late = median(values.slice(3 * quarter));
    const bound = early * (1 + ALLOWED[figure].share) + ALLOWED[figure].number;
    const judged = figure !== "residentMb" || minutes >= WARM_AFTER_MINUTES;
    const problem = judged && late > bound
      ? `${figure} grew from ${early.toFixed(1)} to ${late.toFixed(1)}, more than ${
        bound.toFixed(1)
      }`
      : undefined;
    return { figure, early, late, bound, problem };
  });
}
