import { LineSocket } from "./sockets.ts";

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
