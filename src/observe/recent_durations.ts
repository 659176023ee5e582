/** Checks whose durations are kept. Failures are bits of one number, so no more than 31. */
export const RECENT_CHECKS = 30;

/** How long one check took, and whether it failed. */
export interface TimedCheck {
  readonly durationMs: number;
  readonly failed: boolean;
}

/** How long the last checks of a backend took. It grows with the first checks, then never again. */
export class RecentDurations {
  readonly #durationsMs: number[] = [];
  /** Where the next one goes once all places are taken. */
  #next = 0;
  /** One bit a check, the last check lowest. */
  #failed = 0;

  /** Takes one more check; the oldest goes when there are more than 30. */
  add(durationMs: number, failed: boolean): void {
    this.#durationsMs[this.#next] = durationMs;
    this.#next = (this.#next + 1) % RECENT_CHECKS;
    this.#failed = ((this.#failed << 1) | (failed ? 1 : 0)) & (2 ** RECENT_CHECKS - 1);
  }

  /** How long the last check took, in milliseconds; 0 when there was none. */
  get lastMs(): number {
    return this.#durationsMs.at(this.#next - 1) ?? 0;
  }

  /** @returns the checks, oldest first */
  list(): TimedCheck[] {
    const durations = this.#durationsMs;
    const full = durations.length === RECENT_CHECKS;
    const ordered = full
      ? [...durations.slice(this.#next), ...durations.slice(0, this.#next)]
      : durations;
    return ordered.map((durationMs, index) => ({
      durationMs,
      failed: (this.#failed >> (ordered.length - 1 - index) & 1) === 1,
    }));
  }
}
