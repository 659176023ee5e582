/** Statuses that are answered from memory; what is odd is asked again. */
const CLEAR_STATUSES: ReadonlySet<string> = new Set(["SERVING", "NOT_SERVING"]);

/**
 * What a backend has said of one service on a Watch stream, and whether that may be answered without
 * asking again. The stream of a backend that is frozen or cut off looks like that of one with no news,
 * so its last word is good only for a while after the last sign of life. It is also held against each
 * Check: there are servers whose Watch and Check do not say the same, and Check is what counts.
 */
export class WatchMemory {
  readonly #goodForMs: number;
  /** The status of the last Check; `undefined` when that failed. */
  #checked: string | undefined;
  /** The last status on the stream. */
  #told: string | undefined;
  /** Whether the stream's last word is known to be the backend's. */
  #confirmed = false;
  #aliveAt = -Infinity;

  /** @param goodForMs how long a sign of life is good for, in milliseconds */
  constructor(goodForMs: number) {
    this.#goodForMs = goodForMs;
  }

  /** The stream has said a status: a sign of life, and when it is another than before, a change. */
  tell(status: string, now: number): void {
    const changed = this.#told !== undefined && status !== this.#told;
    const believed = changed || this.#confirmed || status === this.#checked;
    this.#confirmed = this.#checked !== undefined && believed;
    this.#told = status;
    this.#aliveAt = now;
  }

  /** A Check has ended with a status, or failed (`undefined`). */
  check(status: string | undefined, now: number): void {
    this.#checked = status;
    this.#confirmed = status !== undefined && status === this.#told;
    this.#aliveAt = now;
  }

  /** @returns the status to answer with, or `undefined` when the backend is to be asked */
  recall(now: number): string | undefined {
    const good = this.#confirmed && now - this.#aliveAt < this.#goodForMs;
    return good && this.#told !== undefined && CLEAR_STATUSES.has(this.#told)
      ? this.#told
      : undefined;
  }
}
