import { within } from "../testing/eventually.ts";

/** The lines a stream has given so far, and a way to wait for one that is still to come. */
export class LineLog {
  /** Every complete line in the order of arrival; the rest without a line end comes last. */
  readonly lines: string[] = [];
  /** Resolves when the stream has ended and all lines are in. */
  readonly ended: Promise<void>;
  #listeners = new Set<(line: string) => void>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.ended = this.#read(stream);
  }

  /** Calls `listener` with each line from now on, until the returned function is called. */
  onLine(listener: (line: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Gives the first value that `pick` makes of a line, past lines included.
   *
   * @param pick makes a value of the wanted line and undefined of any other
   * @param timeoutMs milliseconds before it gives up
   * @throws {Error} when the time is over or the stream ends first
   */
  async waitFor<T>(
    what: string,
    pick: (line: string) => T | undefined,
    timeoutMs = 5000,
  ): Promise<T> {
    for (const line of this.lines) {
      const value = pick(line);
      if (value !== undefined) return value;
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const stop = this.onLine((line) => {
      const value = pick(line);
      if (value !== undefined) resolve(value);
    });
    this.ended.then(() => reject(new Error(`The stream ended before ${what}`)));
    try {
      return await within(what, timeoutMs, promise);
    } finally {
      stop();
    }
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const bytes of stream) {
      const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) this.#add(line);
    }
    if (rest !== "") this.#add(rest);
  }

  #add(line: string): void {
    this.lines.push(line);
    for (const listener of [...this.#listeners]) listener(line);
  }
}
