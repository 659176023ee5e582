import type { Logger } from "@logtape/logtape";

const PER_SECOND = 10;

/** Warnings that a client can bring about: at most 10 a second, then a count of those left out. */
export class ThrottledWarnings {
  readonly #log: Logger;
  #written = 0;
  #leftOut = 0;
  #window: ReturnType<typeof setTimeout> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Logs at level `warn`, or counts. */
  warn(message: string, fields: Record<string, unknown>): void {
    this.#window ??= this.#openWindow();
    if (this.#written < PER_SECOND) {
      this.#written++;
      this.#log.warn(message, fields);
    } else {
      this.#leftOut++;
    }
  }

  #openWindow(): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => {
      this.#window = undefined;
      this.#written = 0;
      if (this.#leftOut === 0) return;
      this.#log.warn("Further warnings of this kind were left out", { count: this.#leftOut });
      this.#leftOut = 0;
    }, 1000);
    timer.unref();
    return timer;
  }
}
