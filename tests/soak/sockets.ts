import { connect, type Socket } from "node:net";

/** A reply to one line of a {@linkcode LineSocket}. */
export interface Exchange {
  readonly line: string;
  /** When the line was written and the reply was read, in milliseconds of `performance.now()`. */
  readonly sentAt: number;
  readonly receivedAt: number;
  /** With its line end; `undefined` when none came. */
  readonly reply: string | undefined;
  /** The asker's port, by which the agent's log knows it. */
  readonly localPort: number;
}

/** How long a reply is waited for, in milliseconds; without one by then the check has none. */
const GIVE_UP_MS = 10_000;

/** The agent does not accept. */
class ConnectTimeout extends Error {
  readonly code = "ETIMEDOUT";
}

interface Waiting {
  readonly line: string;
  readonly sentAt: number;
  readonly timer: ReturnType<typeof setTimeout>;
  readonly resolve: (exchange: Exchange) => void;
}

/** A connection to the agent. Replies come in the order of the lines. */
export class LineSocket {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #received = "";
  #localPort = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#localPort = socket.localPort ?? 0;
    socket.setNoDelay();
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => this.#receive(text));
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => this.#giveUp());
  }

  /** @throws {Error} when the agent does not accept */
  static open(port: number): Promise<LineSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1" });
      const timer = setTimeout(() => socket.destroy(new ConnectTimeout()), GIVE_UP_MS);
      socket.once("error", (error) => {
        clearTimeout(timer);
        reject(error);
      });
      socket.once("connect", () => {
        clearTimeout(timer);
        socket.removeAllListeners("error");
        resolve(new LineSocket(socket));
      });
    });
  }

  /** Whether it can still be written to. */
  get open(): boolean {
    return !this.#socket.destroyed;
  }

  /** Sends lines in one segment. @returns for each what came of it; never rejects */
  ask(lines: readonly string[]): Promise<Exchange>[] {
    const sentAt = performance.now();
    const exchanges = lines.map((line) =>
      new Promise<Exchange>((resolve) => {
        const timer = setTimeout(() => this.reset(), GIVE_UP_MS);
        this.#waiting.push({ line, sentAt, timer, resolve });
      })
    );
    if (this.open) this.#socket.write(lines.map((line) => `${line}\n`).join(""));
    else this.#giveUp();
    return exchanges;
  }

  /** Ends it as HAProxy does after its reply. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  #receive(text: string): void {
    const receivedAt = performance.now();
    this.#received += text;
    for (let end; (end = this.#received.indexOf("\n") + 1) > 0;) {
      this.#settle(receivedAt, this.#received.slice(0, end));
      this.#received = this.#received.slice(end);
    }
  }

  #giveUp(): void {
    while (this.#waiting.length > 0) this.#settle(performance.now(), undefined);
  }

  #settle(receivedAt: number, reply: string | undefined): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return;
    const { line, sentAt, timer, resolve } = waiting;
    clearTimeout(timer);
    resolve({ line, sentAt, receivedAt, reply, localPort: this.#localPort });
  }
}

/** Connections that are kept. */
const KEPT = 6;

/** After so many uses another is made. */
const USES = 200;

interface Kept {
  readonly socket: LineSocket;
  uses: number;
  busy: boolean;
}

/** Connections to the agent that are used again and again, each by one user at a time. */
export class KeptSockets {
  readonly #port: number;
  readonly #kept = new Set<Kept>();

  constructor(port: number) {
    this.#port = port;
  }

  /**
   * Lends a connection on which nothing is under way.
   *
   * @throws {Error} when a new one is needed and the agent does not accept
   */
  async use(task: (socket: LineSocket) => Promise<void>): Promise<void> {
    const kept = this.#free() ?? await this.#open();
    kept.busy = true;
    await task(kept.socket);
    kept.busy = false;
    if (++kept.uses < USES && this.#kept.has(kept)) return;
    this.#kept.delete(kept);
    kept.socket.reset();
  }

  /** Closes all. */
  close(): void {
    for (const { socket } of this.#kept) socket.reset();
    this.#kept.clear();
  }

  #free(): Kept | undefined {
    for (const kept of this.#kept) {
      if (!kept.socket.open) this.#kept.delete(kept);
      else if (!kept.busy) return kept;
    }
    return undefined;
  }

  async #open(): Promise<Kept> {
    const kept: Kept = { socket: await LineSocket.open(this.#port), uses: 0, busy: true };
    if (this.#kept.size < KEPT) this.#kept.add(kept);
    return kept;
  }
}
