/**
 * Bounds how many clients are read in a turn of the event loop, line by line. Deno (2.9) reads 127 times in a turn
 * (Tokio's budget for a task), and reading backends' answers and writing replies use up the same budget. Once it is
 * used up, a socket that is ready has to wait for the next turn, and there it comes behind whatever has become ready
 * meanwhile. So without a bound, a thousand clients that ask without a pause would keep other clients, and the answers
 * of backends, waiting for many seconds.
 */
export class ReadLimiter {
  readonly #perTurn: number;
  /** How many have begun since the last turn. */
  #begun = 0;
  #isTurnAsked = false;
  /** Longest waiting first. */
  readonly #waiting: (() => void)[] = [];

  /** @param perTurn how many may begin in a turn of the event loop */
  constructor(perTurn: number) {
    this.#perTurn = perTurn;
  }

  /**
   * To be called before each read, and before each line of it but the first.
   *
   * @returns what to wait for before it; in most cases nothing
   */
  take(): Promise<void> | undefined {
    const isFree = this.#begun < this.#perTurn;
    if (isFree) this.#begun++;
    this.#askForTurn();
    return isFree ? undefined : new Promise((begin) => this.#waiting.push(begin));
  }

  /** Asks once half of the reads have begun, so that the timer mostly fires before anybody has to wait. */
  #askForTurn(): void {
    if (this.#isTurnAsked || this.#begun < this.#perTurn / 2) return;
    this.#isTurnAsked = true;
    // It takes a timer: setImmediate lets no I/O through here.
    setTimeout(() => this.#begin());
  }

  #begin(): void {
    this.#isTurnAsked = false;
    const next = this.#waiting.splice(0, this.#perTurn);
    this.#begun = next.length;
    for (const begin of next) begin();
    this.#askForTurn();
  }
}
