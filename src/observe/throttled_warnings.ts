import { setTimeout } from "node:timers";
import type { Logger } from "./log.ts";

const PER_SECOND = 10;

/**
 * Warnings or errors that a client can bring about: of each message at most 10 a second, then a count of
 * those left out.
 */
export class ThrottledWarnings {
  readonly #log: Logger;
  readonly #level: "warn" | "error";
  /** Lines in the second under way, by their message. */
  readonly #counts = new Map<string, number>();
  #window: ReturnType<typeof setTimeout> | undefined;

  constructor(log: Logger, level: "warn" | "error" = "warn") {
    this.#log = log;
    this.#level = level;
  }

  /**
   * Logs, or counts.
   *
   * @param message one of a few, never from the wire
   * @param fields called only when the line is written
   */
  warn(message: string, fields: () => Record<string, unknown>): void {
    this.#window ??= this.#openWindow();
    const count = (this.#counts.get(message) ?? 0) + 1;
    this.#counts.set(message, count);
    if (count <= PER_SECOND) this.#log[this.#level](message, fields);
  }

  #openWindow(): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => {
      this.#window = undefined;
      for (const [message, count] of this.#counts) {
        if (count <= PER_SECOND) continue;
        this.#log[this.#level]("Further warnings of this kind were left out", {
          warning: message,
          count: count - PER_SECOND,
        });
      }
      this.#counts.clear();
    }, 1000);
    timer.unref();
    return timer;
  }
}
