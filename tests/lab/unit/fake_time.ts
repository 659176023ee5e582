/** Has `performance.now()` stand still except when the test lets time pass. Timers run as always. */
export class FakeTime implements Disposable {
  readonly #now = performance.now;
  #time = Math.ceil(performance.now()); // whole, so that sums are exact

  constructor() {
    performance.now = () => this.#time;
  }

  /** Lets time pass, in milliseconds. */
  passes(ms: number): void {
    this.#time += ms;
  }

  [Symbol.dispose](): void {
    performance.now = this.#now;
  }
}
