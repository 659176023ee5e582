/** Lines waiting for a slow reader, in bytes; what comes on top is dropped and counted. */
const MAX_WAITING_BYTES = 1 << 20;

/**
 * Writes log lines without ever making anybody wait: a reader that has stopped (a full pipe) or a
 * destination that fails costs lines, never a check. Lines of one turn of the event loop leave in one
 * write.
 */
export class LogOutput {
  readonly #write: (bytes: Uint8Array) => Promise<number>;
  readonly #encoder = new TextEncoder();
  #waiting: string[] = [];
  #waitingBytes = 0;
  #flushing: Promise<void> | undefined;

  /** @param write writes some of the bytes and says how many, as `Deno.stderr.write` does */
  constructor(write: (bytes: Uint8Array) => Promise<number>) {
    this.#write = write;
  }

  /** Lines that were dropped since the start. */
  dropped = 0;

  /** @param line a whole line with its newline */
  add(line: string): void {
    if (this.#waitingBytes + line.length > MAX_WAITING_BYTES) {
      this.dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#flushing ??= this.#flush();
  }

  /** Settles when all lines are written, or after `timeoutMs`; never rejects. */
  async drain(timeoutMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => timer = setTimeout(resolve, timeoutMs));
    await Promise.race([this.#flushing, timeout]);
    clearTimeout(timer);
  }

  async #flush(): Promise<void> {
    await Promise.resolve(); // the rest of this turn's lines
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      const bytes = this.#encoder.encode(lines.join(""));
      try {
        for (let sent = 0; sent < bytes.length;) sent += await this.#write(bytes.subarray(sent));
      } catch {
        this.dropped += lines.length;
      }
      this.#waitingBytes = this.#waiting.reduce((sum, line) => sum + line.length, 0);
    }
    this.#flushing = undefined;
  }
}
