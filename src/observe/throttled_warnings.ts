import type { Logger } from "@logtape/logtape";

const PER_SECOND = 10;

/** Warnings or errors that a client can bring about: 10 a second, then a count of those left out. */
export class ThrottledWarnings {
  readonly #log: Logger;
  readonly #level: "warn" | "error";
  #written = 0;
  #leftOut = 0;
  #window: ReturnType<typeof setTimeout> | undefined;

  constructor(log: Logger, level: "warn" | "error" = "warn") {
    this.#log = log;
    this.#level = level;
  }

  /** Logs, or counts. */
  warn(message: string, fields: Record<string, unknown>): void {
    this.#window ??= this.#openWindow();
    if (this.#written < PER_SECOND) {
      this.#written++;
      this.#log[this.#level](message, fields);
    } else {
      this.#leftOut++;
    }
  }

  #openWindow(): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => {
      this.#window = undefined;
      this.#written = 0;
      if (this.#leftOut === 0) return;
      this.#log[this.#level]("Further warnings of this kind were left out", {
        count: this.#leftOut,
      });
      this.#leftOut = 0;
    }, 1000);
    timer.unref();
    return timer;
  }
}
