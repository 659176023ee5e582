/**
 * How many reads of clients and accepts may begin in a turn of the event loop. Deno (2.9) reads 127 times in a turn
 * (Tokio's budget for a task), and reading backends' answers and writing replies use up the same budget.
 */
const READS_PER_TURN = 32;

/**
 * Bounds how many clients are read in a turn of the event loop. Once Tokio's budget is used up, a socket that is
 * ready has to wait for the next turn, and there it comes behind whatever has become ready meanwhile. So without a
 * bound, a thousand clients that ask without a pause would keep other clients, and the answers of backends, waiting
 * for many seconds.
 */
export class ReadLimiter {
  /** What has begun in this turn: accepts, and reads, which count as many times as they bring lines. */
  #begun = 0;
  #isTurnAsked = false;
  /** Longest waiting first. */
  readonly #waiting: { readonly count: number; readonly begin: () => void }[] = [];

  /**
   * To be called before each read and each accept.
   *
   * @param count how many reads it counts as: the lines of the previous read, at least 1
   * @returns what to wait for before it; in most cases nothing
   */
  take(count = 1): Promise<void> | undefined {
    const isFree = this.#begun < READS_PER_TURN;
    if (isFree) this.#begun += count;
    this.#askForTurn();
    return isFree ? undefined : new Promise((begin) => this.#waiting.push({ count, begin }));
  }

  /** Asks once half of the reads have begun, so that the timer mostly fires before anybody has to wait. */
  #askForTurn(): void {
    if (this.#isTurnAsked || this.#begun < READS_PER_TURN / 2) return;
    this.#isTurnAsked = true;
    // It takes a timer: setImmediate lets no I/O through here.
    setTimeout(() => this.#begin());
  }

  #begin(): void {
    this.#isTurnAsked = false;
    this.#begun = 0;
    let taken = 0;
    for (; this.#begun < READS_PER_TURN; taken++) {
      const next = this.#waiting[taken];
      if (next === undefined) break;
      this.#begun += next.count;
      next.begin();
    }
    this.#waiting.splice(0, taken);
    this.#askForTurn();
  }
}
