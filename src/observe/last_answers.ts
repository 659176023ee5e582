/** Remembers the last answer of each backend, so that a change can be told from a repetition. */
export class LastAnswers {
  readonly #max: number;
  readonly #answers = new Map<string, string>();

  /** @param max how many backends are remembered; the one longest not asked for goes */
  constructor(max: number) {
    this.#max = max;
  }

  /** @returns whether `answer` differs from the one noted for `key` before (or is the first) */
  changed(key: string, answer: string): boolean {
    const before = this.#answers.get(key);
    this.#answers.delete(key);
    this.#answers.set(key, answer);
    if (this.#answers.size > this.#max) {
      const [oldest] = this.#answers.keys();
      if (oldest !== undefined) this.#answers.delete(oldest);
    }
    return before !== answer;
  }
}
