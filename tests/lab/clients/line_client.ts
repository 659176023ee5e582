import { within } from "../testing/eventually.ts";

/** How long a read may take unless the caller says otherwise, in milliseconds. */
const PATIENCE_MS = 10_000;

/** A TCP connection to the agent as HAProxy would make one, raw: every byte is the test's own. */
export class LineClient implements Disposable {
  #connection: Deno.TcpConn;
  #received = new Uint8Array();
  #ended = false;
  #failure: unknown;
  #changed = Promise.withResolvers<void>();

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    connection.setNoDelay();
    this.#receive();
  }

  /** Connects to a loopback port. */
  static async open(port: number): Promise<LineClient> {
    return new LineClient(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Sends these bytes and no others. */
  async write(data: string | Uint8Array): Promise<void> {
    let rest = typeof data === "string" ? new TextEncoder().encode(data) : data;
    while (rest.length > 0) rest = rest.subarray(await this.#connection.write(rest));
  }

  /**
   * Reads one answer.
   *
   * @returns the bytes up to the line end and with it; what came when the agent closed before a line
   * end, so "" for a close without a byte
   * @throws {Error} when the agent neither answers nor closes in time, or resets the connection
   */
  async readLine(timeoutMs = PATIENCE_MS): Promise<string> {
    const end = await this.#until("an answer", timeoutMs, () => {
      const newline = this.#received.indexOf(0x0a);
      return newline >= 0 ? newline + 1 : undefined;
    });
    return this.#take(end ?? this.#received.length);
  }

  /** Sends one line and reads its answer. */
  async ask(line: string, timeoutMs = PATIENCE_MS): Promise<string> {
    await this.write(line);
    return await this.readLine(timeoutMs);
  }

  /** Reads until the agent closes, and gives all that came. */
  async readToEnd(timeoutMs = PATIENCE_MS): Promise<string> {
    await this.#until("the end of the connection", timeoutMs, () => undefined);
    return this.#take(this.#received.length);
  }

  /** What has arrived and was not read yet. */
  get unread(): string {
    return new TextDecoder().decode(this.#received);
  }

  /** Says that nothing more will be sent; answers can still be read. */
  async endWriting(): Promise<void> {
    await this.#connection.closeWrite();
  }

  /** Closes the connection. */
  close(): void {
    try {
      this.#connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Waits until `look` gives a value or the connection has ended; undefined for the latter. */
  async #until<T>(
    what: string,
    timeoutMs: number,
    look: () => T | undefined,
  ): Promise<T | undefined> {
    const end = performance.now() + timeoutMs;
    while (true) {
      const value = look();
      if (value !== undefined) return value;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return undefined;
      await within(what, Math.max(0, end - performance.now()), this.#changed.promise);
    }
  }

  #take(count: number): string {
    const text = new TextDecoder().decode(this.#received.subarray(0, count));
    this.#received = this.#received.slice(count);
    return text;
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(4096);
    try {
      let count: number | null;
      while ((count = await this.#connection.read(buffer)) !== null) {
        const joined = new Uint8Array(this.#received.length + count);
        joined.set(this.#received);
        joined.set(buffer.subarray(0, count), this.#received.length);
        this.#received = joined;
        this.#wake();
      }
    } catch (error) {
      const closedHere = error instanceof Deno.errors.BadResource ||
        error instanceof Deno.errors.Interrupted;
      if (!closedHere) this.#failure = error;
    }
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}
