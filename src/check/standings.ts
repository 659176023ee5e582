import { damp, type Standing, type Thresholds } from "./damping.ts";
import type { Opinion } from "./verdict.ts";
import type { Word } from "../protocol/reply.ts";

/** A backend that nobody has asked about for so long is forgotten, in milliseconds. */
const FORGET_AFTER_MS = 10 * 60_000;

/** How many are remembered; the one longest not asked about goes. */
const MAX_STANDINGS = 50_000;

interface Known {
  readonly standing: Standing;
  /** What was taken into account last. */
  readonly verdict: Opinion;
  readonly at: number;
}

/**
 * Remembers the standing of each backend, service and client: three HAProxies that each see one failure
 * have not seen three in a row.
 */
export class Standings {
  readonly #now: () => number;
  /** Longest not asked about first. */
  readonly #known = new Map<string, Known>();

  /** @param now a clock in milliseconds that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Takes one check into account; see {@linkcode damp}.
   *
   * @param verdict counts once, however many equal checks share it: they are one attempt
   */
  judge(
    key: string,
    verdict: Opinion,
    word: Word,
    atOnce: boolean,
    thresholds: Thresholds,
  ): Standing {
    const now = this.#now();
    const known = this.#known.get(key);
    const before = known !== undefined && now - known.at < FORGET_AFTER_MS
      ? known.standing
      : undefined;
    const standing = before !== undefined && known?.verdict === verdict
      ? before
      : damp(before, word, atOnce, thresholds);
    this.#known.delete(key);
    this.#known.set(key, { standing, verdict, at: now });
    this.#forget(now);
    return standing;
  }

  #forget(now: number): void {
    for (const [key, { at }] of this.#known) {
      if (this.#known.size <= MAX_STANDINGS && now - at < FORGET_AFTER_MS) return;
      this.#known.delete(key);
    }
  }
}
