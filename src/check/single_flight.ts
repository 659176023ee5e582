import { LruMap } from "../lru_map.ts";
import { keptVerdict, meaningOf, type Verdict } from "../protocol/verdict.ts";
import type { CheckProgress, RunningCheck } from "./health_client.ts";

/** Observations that are kept for those that ask later. */
const MAX_KEPT = 10_000;

/** What a check has come to know of a backend. */
export interface Observation {
  readonly verdict: Verdict;
  /** Which run it comes from: for damping, all checks that share a run are one observation. */
  readonly run: number;
}

/** One run of a health check, and how many wait for it. */
export class Flight {
  static #runs = 0;
  readonly observation: Promise<Observation>;
  /** In milliseconds of `performance.now()`. */
  readonly begunAt: number;
  /** A number that no other run has, after a reload either: damping outlives it. */
  readonly run = ++Flight.#runs;
  /** Whether others may still wait for it. */
  open = true;
  readonly #check: RunningCheck;
  readonly #onEmpty: () => void;
  #waiting = 0;

  /**
   * @param onEnd called with what has come of it
   * @param onEmpty called when the last one has left before the end
   */
  constructor(
    check: RunningCheck,
    begunAt: number,
    onEnd: (observation: Observation) => void,
    onEmpty: () => void,
  ) {
    this.begunAt = begunAt;
    this.#check = check;
    this.#onEmpty = onEmpty;
    const end = (verdict: Verdict): Observation => {
      const observation = { verdict, run: this.run };
      this.open = false;
      onEnd(observation);
      return observation;
    };
    this.observation = check.verdict.then(end, (error) => end({ kind: "internal", error }));
  }

  /** @returns how far the run is */
  progress(): CheckProgress {
    return this.#check.progress();
  }

  /** @param askerTimeoutMs how long the one that joins will wait, in milliseconds */
  join(askerTimeoutMs: number): void {
    if (this.#waiting > 0) this.#check.joined(askerTimeoutMs);
    this.#waiting++;
  }

  /** One waits no longer. The last one that leaves cancels the run. */
  leave(): void {
    if (--this.#waiting > 0) return;
    this.open = false;
    this.#onEmpty();
    this.#check.cancel();
  }
}

/** Lets equal checks share a run: while it is under way, and for a while after it has ended. */
export class SingleFlight {
  readonly #coalesce: boolean;
  readonly #maxAgeMs: number;
  readonly #flights = new Map<string, Flight>();
  readonly #kept = new LruMap<string, { readonly observation: Observation; readonly at: number }>(
    MAX_KEPT,
  );

  /**
   * @param coalesce whether checks under way are shared
   * @param maxAgeMs how long an observation serves others, from the beginning of its run, in milliseconds;
   * 0 for not at all
   */
  constructor(coalesce: boolean, maxAgeMs: number) {
    this.#coalesce = coalesce;
    this.#maxAgeMs = maxAgeMs;
  }

  /** @returns an observation that is young enough to serve again */
  kept(key: string): Observation | undefined {
    if (this.#maxAgeMs === 0) return undefined;
    const kept = this.#kept.get(key);
    return kept !== undefined && performance.now() - kept.at <= this.#maxAgeMs
      ? kept.observation
      : undefined;
  }

  /**
   * @param maxAgeMs nobody joins a run that is older than this: what holds it up would hold the joiner up
   * @returns the run under way, to be joined
   */
  find(key: string, maxAgeMs: number): Flight | undefined {
    if (!this.#coalesce) return undefined;
    const flight = this.#flights.get(key);
    if (flight === undefined || !flight.open) return undefined;
    return performance.now() - flight.begunAt < maxAgeMs ? flight : undefined;
  }

  /** Takes a run that has begun at a moment of `performance.now()`. */
  add(key: string, check: RunningCheck, begunAt: number): Flight {
    const forget = () => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    const onEnd = (observation: Observation) => {
      forget();
      if (this.#maxAgeMs > 0 && meaningOf(observation.verdict).mayServeAgain) {
        // A run that was begun later may have ended sooner.
        const isNewest = (this.#kept.get(key)?.at ?? -Infinity) <= begunAt;
        const kept = { ...observation, verdict: keptVerdict(observation.verdict) };
        if (isNewest) this.#kept.set(key, { observation: kept, at: begunAt });
      }
    };
    const flight = new Flight(check, begunAt, onEnd, forget);
    this.#flights.set(key, flight);
    return flight;
  }
}
