import type { LogDestination, Written } from "./log_destination.ts";

/** How long a destination that has failed is left alone, in milliseconds. */
const RETRY_MS = 1000;

/** Who is told of a failing destination, once each time. Must not throw. */
export interface FallbackListener {
  /** From now on lines go to the other destination. */
  failed(error: unknown): void;
  /** From now on lines go where they belong. */
  recovered(): void;
}

/** Writes to one destination, and while that fails to another. No line comes twice; one is lost only where both fail. */
export class LogFallback implements LogDestination {
  readonly #first: LogDestination;
  readonly #second: LogDestination;
  readonly #listener: FallbackListener;
  readonly #now: () => number;
  #failedAt: number | undefined;

  /** @param now a clock in milliseconds that never goes back */
  constructor(
    first: LogDestination,
    second: LogDestination,
    listener: FallbackListener,
    now: () => number = () => performance.now(),
  ) {
    this.#first = first;
    this.#second = second;
    this.#listener = listener;
    this.#now = now;
  }

  async write(lines: Uint8Array): Promise<Written> {
    const resting = this.#failedAt !== undefined && this.#now() - this.#failedAt < RETRY_MS;
    if (resting) return await this.#second.write(lines);
    const first = await this.#first.write(lines);
    if (first.ok) {
      if (this.#failedAt !== undefined) this.#listener.recovered();
      this.#failedAt = undefined;
      return first;
    }
    if (this.#failedAt === undefined) this.#listener.failed(first.error);
    this.#failedAt = this.#now();
    const second = await this.#second.write(lines.subarray(first.written));
    return second.ok ? second : { ...second, written: first.written + second.written };
  }
}
