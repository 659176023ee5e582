import type { Deadlines } from "../deadline.ts";

/** How many steps of one kind may be at work at once. */
interface Limit {
  readonly maxAtWork: number;
  /** After so long, in milliseconds, one waits for its peer and costs the agent nothing: the next begins. */
  readonly holdMs: number;
}

/**
 * Deno begins to connect when its event loop comes to it: of a thousand dials at once, on a busy machine, the
 * last had little of their time left by then.
 */
const CONNECT_LIMIT: Limit = { maxAtWork: 16, holdMs: 10 };

/** A handshake costs half a millisecond of processor time: a thousand begun together would all end too late. */
export const HANDSHAKE_LIMIT: Limit = { maxAtWork: 32, holdMs: 50 };

/** What bounds the work of all dials of an agent. Those that only wait for the network are not bounded. */
export class DialLimits {
  readonly connects: Semaphore;
  readonly handshakes: Semaphore;

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

  /** @returns ends the step, idempotent; `undefined` where it would have to wait */
  tryAcquire(): (() => void) | undefined {
    if (this.#atWork >= this.#limit.maxAtWork) return undefined;
    this.#atWork++;
    return this.#begin();
  }

  /**
   * Waits until the step may begin.
   *
   * @returns ends it; idempotent
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
