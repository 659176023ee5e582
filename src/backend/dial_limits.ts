import type { Deadlines } from "../deadline.ts";

/** How many steps of one kind may be at work at once. */
interface Limit {
  readonly maxAtWork: number;
  /** After this time, in milliseconds, a step only waits for its peer, so the next one may begin. */
  readonly holdMs: number;
}

/**
 * Deno begins to connect only when its event loop comes to it. Of a thousand dials begun at once on a busy machine,
 * the last would have little of their time left by then.
 */
const CONNECT_LIMIT: Limit = { maxAtWork: 16, holdMs: 10 };

/** A handshake costs half a millisecond of processor time: a thousand begun together would all end too late. */
export const HANDSHAKE_LIMIT: Limit = { maxAtWork: 32, holdMs: 50 };

/** Bounds how many dials of an agent work at once. Those that only wait for the network do not count. */
export class DialLimits {
  readonly connects: Semaphore;
  readonly handshakes: Semaphore;
  /** Connection attempts that are made beside a first one that is silent. */
  repeats = 0;

  constructor(deadlines: Deadlines) {
    this.connects = new Semaphore(CONNECT_LIMIT, deadlines);
    this.handshakes = new Semaphore(HANDSHAKE_LIMIT, deadlines);
  }
}

/** Lets steps begin only so many at a time, in the order in which they came. */
class Semaphore {
  readonly #limit: Limit;
  readonly #deadlines: Deadlines;
  readonly #waiting = new Set<() => void>();
  #atWork = 0;

  constructor(limit: Limit, deadlines: Deadlines) {
    this.#limit = limit;
    this.#deadlines = deadlines;
  }

  /** @returns a function that ends the step, idempotent; `undefined` where it would have to wait */
  tryAcquire(): (() => void) | undefined {
    if (this.#atWork >= this.#limit.maxAtWork) return undefined;
    this.#atWork++;
    return this.#begin();
  }

  /**
   * Waits until the step may begin.
   *
   * @returns a function that ends it, idempotent
   * @throws {Error} when the signal is aborted first
   */
  async acquire(signal: AbortSignal): Promise<() => void> {
    await this.#wait(signal);
    return this.#begin();
  }

  #begin(): () => void {
    let ended = false;
    const release = () => {
      if (ended) return;
      ended = true;
      deadline.cancel();
      const [next] = this.#waiting;
      if (next === undefined) this.#atWork--;
      else next(); // takes the place over
    };
    const deadline = this.#deadlines.set(release, this.#limit.holdMs);
    return release;
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = () => {
        this.#waiting.delete(begin);
        signal.removeEventListener("abort", giveUp);
        resolve();
      };
      const giveUp = () => {
        this.#waiting.delete(begin);
        reject(new Error("The connection was given up"));
      };
      this.#waiting.add(begin);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }
}
