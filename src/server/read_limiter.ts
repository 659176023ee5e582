/**
 * How many lines of clients and accepts may begin in a turn of the event loop. Deno (2.9) reads 127 times in a turn
 * (Tokio's budget for a task), and reading backends' answers and writing replies use up the same budget.
 */
const READS_PER_TURN = 32;

/**
 * Bounds how many clients are read in a turn of the event loop, line by line. Once Tokio's budget is used up, a socket
 * that is ready has to wait for the next turn, and there it comes behind whatever has become ready meanwhile. So
 * without a bound, a thousand clients that ask without a pause would keep other clients, and the answers of backends,
 * waiting for many seconds.
 */
export class ReadLimiter {
  /** What has begun in this turn. */
  #begun = 0;
  #isTurnAsked = false;
  /** Longest waiting first. */
  readonly #reading: (() => void)[] = [];
  /** One for each listener at most. */
  readonly #accepting: (() => void)[] = [];

  /**
   * To be called before each read, and before each line of it but the first.
   *
   * @returns what to wait for before it; in most cases nothing
   */
  takeRead(): Promise<void> | undefined {
    return this.#take(this.#reading);
  }

  /**
   * To be called before each accept. It waits for the next turn at most: in one queue with the reads, each new client
   * would wait for a line of all those that ask, and for the accepts before its own.
   */
  takeAccept(): Promise<void> | undefined {
    return this.#take(this.#accepting);
  }

  #take(queue: (() => void)[]): Promise<void> | undefined {
    const isFree = this.#begun < READS_PER_TURN;
    if (isFree) this.#begun++;
    this.#askForTurn();
    return isFree ? undefined : new Promise((begin) => queue.push(begin));
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
    const next = [...this.#accepting.splice(0), ...this.#reading.splice(0, READS_PER_TURN)];
    this.#begun = next.length;
    for (const begin of next) begin();
    this.#askForTurn();
  }
}
