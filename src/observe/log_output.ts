import type { LogDestination } from "./log_destination.ts";

/** Lines waiting for a slow reader, in characters; what comes on top is dropped and counted. */
const MAX_WAITING = 1 << 20;

/** Lines are gathered for so long, in milliseconds: each write costs more than making ten lines. */
const GATHER_MS = 20;

const NEWLINE = 0x0a;

/**
 * Writes log lines without ever making anybody wait: a reader that has stopped (a full pipe) or a
 * destination that fails costs lines, never a check. Lines of some milliseconds leave in one write.
 */
export class LogOutput {
  readonly #destination: LogDestination;
  readonly #onResumed: (dropped: number) => void;
  readonly #encoder = new TextEncoder();
  #lines: string[] = [];
  /** Characters of the lines that wait or are being written. */
  #waiting = 0;
  #flushing: Promise<void> | undefined;
  #gathering: ReturnType<typeof setTimeout> | undefined;
  #dropped = 0;
  #told = 0;

  /** @param onResumed told how many lines were dropped, once lines get out again; must not throw */
  constructor(destination: LogDestination, onResumed: (dropped: number) => void = () => {}) {
    this.#destination = destination;
    this.#onResumed = onResumed;
  }

  /** Lines that were dropped since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * @param line a whole line with its newline
   * @param isUrgent whether it leaves at once, with those before it
   */
  add(line: string, isUrgent = false): void {
    if (this.#waiting + line.length > MAX_WAITING) {
      this.#dropped++;
      return;
    }
    this.#lines.push(line);
    this.#waiting += line.length;
    if (this.#flushing !== undefined) return;
    if (isUrgent) this.#startFlush();
    else this.#gathering ??= setTimeout(() => this.#startFlush(), GATHER_MS);
  }

  /** Settles when all lines are written, or after `timeoutMs`; never rejects. */
  async drain(timeoutMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => timer = setTimeout(resolve, timeoutMs));
    if (this.#gathering !== undefined) this.#startFlush();
    await Promise.race([this.#flushing, timeout]);
    clearTimeout(timer);
  }

  #startFlush(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    this.#flushing ??= this.#flush();
  }

  async #flush(): Promise<void> {
    await Promise.resolve(); // the rest of this turn's lines
    while (this.#lines.length > 0) {
      const text = this.#lines.join("");
      this.#lines = [];
      const bytes = this.#encoder.encode(text);
      const result = await this.#destination.write(bytes);
      this.#waiting -= text.length;
      if (!result.ok) this.#dropped += countLines(bytes.subarray(result.written));
      else this.#tellDropped();
    }
    this.#flushing = undefined;
  }

  #tellDropped(): void {
    const dropped = this.#dropped - this.#told;
    if (dropped === 0) return;
    this.#told = this.#dropped;
    this.#onResumed(dropped);
  }
}

function countLines(bytes: Uint8Array): number {
  return bytes.reduce((count, byte) => byte === NEWLINE ? count + 1 : count, 0);
}
