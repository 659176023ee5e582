import { type Html, markup } from "./markup.ts";
import type { TimedCheck } from "./recent_durations.ts";

/** The picture's height, and how far its bars are apart. */
const HEIGHT = 20;
const STEP = 4;

/** What fills the height at least, in milliseconds: quick checks look quick. */
const LEAST_FULL_MS = 20;

/** A bar is never lower; a failed check must be seen however quickly it failed. */
const LEAST_HEIGHT = { good: 1, failed: 4 };

/**
 * Draws the durations of checks as bars, the last on the right; a failed check has a bar of its own
 * class, `f`. Heights go with the square root, so that one slow check does not flatten all others.
 *
 * @param places room for so many checks; fewer leave room on the left
 */
export function sparkline(checks: readonly TimedCheck[], places: number): Html {
  const fullMs = Math.max(LEAST_FULL_MS, ...checks.map(({ durationMs }) => durationMs));
  const paths = { good: "", failed: "" };
  for (const [index, { durationMs, failed }] of checks.entries()) {
    const x = (places - checks.length + index) * STEP + STEP / 2;
    const kind = failed ? "failed" : "good";
    const height = Math.max(
      LEAST_HEIGHT[kind],
      Math.round(Math.sqrt(durationMs / fullMs) * HEIGHT),
    );
    paths[kind] += `M${x} ${HEIGHT}v-${height}`;
  }
  const width = places * STEP;
  return markup`<svg viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label="${summary(checks)}">${
    pathOf(paths.good, "g")
  }${pathOf(paths.failed, "f")}</svg>`;
}

function pathOf(path: string, name: string): Html {
  return path === "" ? markup`` : markup`<path class="${name}" d="${path}"/>`;
}

function summary(checks: readonly TimedCheck[]): string {
  const longest = Math.round(Math.max(0, ...checks.map(({ durationMs }) => durationMs)));
  const failed = checks.filter((check) => check.failed).length;
  return `Last ${checks.length} checks: longest ${longest} ms, ${failed} failed`;
}
