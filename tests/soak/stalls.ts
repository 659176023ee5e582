/** How often it is looked, in milliseconds. */
const EVERY_MS = 10;

/** A delay up to this is no stall, in milliseconds. */
const NORMAL_MS = 5;

/** Stalls that are remembered; answers are judged soon after they came. */
const REMEMBERED = 1000;

/**
 * When this process itself did not run: what came meanwhile was not seen, and was not sent. A reply that
 * seems late can so be told from one that lay waiting.
 */
export class Stalls implements Disposable {
  readonly #stalls: { from: number; to: number }[] = [];
  readonly #timer: ReturnType<typeof setInterval>;
  #expectedAt = performance.now() + EVERY_MS;
  #longestMs = 0;
  #delays: number[] = [];

  constructor() {
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
  }

  /** The longest stall so far, in milliseconds. */
  get longestMs(): number {
    return this.#longestMs;
  }

  /** How late each look came, in milliseconds. */
  get delays(): readonly number[] {
    return this.#delays;
  }

  /** @returns for how many milliseconds from `from` to `to` this process did not run */
  between(from: number, to: number): number {
    return this.#stalls.reduce(
      (sum, stall) => sum + Math.max(0, Math.min(stall.to, to) - Math.max(stall.from, from)),
      0,
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    const delay = Math.max(0, now - this.#expectedAt);
    this.#delays.push(delay);
    if (delay > NORMAL_MS) {
      this.#stalls.push({ from: this.#expectedAt, to: now });
      if (this.#stalls.length > REMEMBERED) this.#stalls.shift();
      this.#longestMs = Math.max(this.#longestMs, delay);
    }
    this.#expectedAt = now + EVERY_MS;
  }
}
