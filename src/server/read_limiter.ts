/**
 * How many reads of clients, and accepts, begin at most in a turn of the event loop. Deno (2.9) reads 127 times in a
 * turn, Tokio's budget for a task, and what backends answer, and the replies that are written, take of it too.
 */
const READS_PER_TURN = 32;

/**
 * Lets clients be read in turns. Beyond Tokio's budget, what is ready to be read has to wait for the next turn, and
 * there Tokio puts it behind whatever has become ready meanwhile: a thousand clients that ask without a pause would
 * keep the others, and the answers of backends, waiting for many seconds.
 */
export class ReadLimiter {
  /** What has begun since the last turn: reads, by the lines that each brought, and accepts. */
  #begun = 0;
  #isTurnAsked = false;
  /** The one that has waited longest first. */
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

  /** Early enough that the timer has its turn, as a rule, before anybody has to wait. */
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
