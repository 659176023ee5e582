import type { Random } from "../lab/testing/random.ts";

/** Something that happens to a backend for a while; afterwards it is up again. */
export interface SoakFault<Backend> {
  /** To be read after "a backend that". */
  readonly name: string;
  /** What checks must say meanwhile, and where either answer is right; for the report. */
  readonly truth: string;
  /**
   * Lets it happen. The true state is written down on the way.
   *
   * @param hold waits for as long as the fault is to last
   */
  run(backend: Backend, hold: () => Promise<void>, random: Random): Promise<void>;
}

/** A fault that was let happen. */
export interface FaultRecord {
  readonly backend: string;
  readonly fault: string;
  /** In milliseconds of `performance.now()`. */
  readonly from: number;
  /** `undefined` while it lasts. */
  to: number | undefined;
}
