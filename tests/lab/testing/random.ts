/** Random numbers that a seed repeats (mulberry32). */
export class Random {
  #state: number;

  /** @param name makes of one seed as many sequences as there are names */
  constructor(seed: number, name: string) {
    this.#state = seed >>> 0;
    for (const char of name) this.#state = Math.imul(this.#state ^ char.charCodeAt(0), 0x9e3779b1);
  }

  /** @returns a number from 0 to below 1 */
  next(): number {
    this.#state = this.#state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  }

  /** @returns a number from `from` to below `to` */
  between(from: number, to: number): number {
    return from + this.next() * (to - from);
  }

  /** @returns the values in another order */
  shuffled<Value>(values: readonly Value[]): Value[] {
    return values
      .map((value) => ({ value, place: this.next() }))
      .sort((one, other) => one.place - other.place)
      .map(({ value }) => value);
  }

  /** @returns the values without end, each as often as the others, in an order that changes */
  *cycle<Value>(values: readonly Value[]): Generator<Value, never> {
    if (values.length === 0) throw new RangeError("There is nothing to choose from");
    while (true) yield* this.shuffled(values);
  }
}
