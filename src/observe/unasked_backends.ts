import { LruMap } from "../lru_map.ts";

/** A backend that could not be asked for so long is told of, in milliseconds. */
const LONG_MS = 60_000;

/** How many are remembered. */
const MAX_BACKENDS = 10_000;

interface Unasked {
  /** When the first of the checks in a row could not be made. */
  readonly since: number;
  told: boolean;
}

/** Backends that the agent cannot ask, check after check, for want of something of its own. */
export class UnaskedBackends {
  readonly #now: () => number;
  readonly #unasked = new LruMap<string, Unasked>(MAX_BACKENDS);

  /** @param now a clock in milliseconds that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Backends that could not be asked for a minute or longer. */
  get count(): number {
    let count = 0;
    for (const [, { since }] of this.#unasked) if (this.#now() - since >= LONG_MS) count++;
    return count;
  }

  /**
   * A check could not be made.
   *
   * @param key of the backend
   * @returns whether that has been so for a minute now; once
   */
  add(key: string): boolean {
    const known = this.#unasked.get(key);
    if (known === undefined) {
      this.#unasked.set(key, { since: this.#now(), told: false });
      return false;
    }
    if (known.told || this.#now() - known.since < LONG_MS) return false;
    known.told = true;
    return true;
  }

  /** A check was made. */
  delete(key: string): void {
    if (this.#unasked.size > 0) this.#unasked.delete(key);
  }
}
