/** How long to wait instead where there is no connection to send the marker on, in milliseconds. */
const WITHOUT_MARKER_MS = 20;

const ONE_BYTE = new Uint8Array(1);

/** How many sockets Deno reads in a turn of its event loop beside the marker's: Tokio's budget for a task less one. */
const READS_IN_TURN = 127;

/** Two rounds that take less than this, in milliseconds, had next to nothing to wait for. */
const QUICK_MS = 1;

/**
 * Tells when all that has arrived at the process's sockets has been read, by a byte that it sends to itself again and
 * again. One turn of the event loop would not do: timers come before reads, and to read many sockets takes many
 * turns. The marker is right only while few sockets become ready anew in each turn, since those are read first: that
 * is why clients are read in turns (src/server/read_limiter.ts).
 */
export class ReadMarker {
  /** Settles when it works, or when it cannot: there is no loopback interface, or no descriptor left. */
  readonly opened: Promise<void>;
  #ends: readonly [writer: Deno.TcpConn, reader: Deno.TcpConn] | undefined;
  /** Settles when the byte that is under way has been read. */
  #round: Promise<void> | undefined;
  #nextRound: Promise<void> | undefined;

  constructor() {
    this.opened = connectedPair().then((ends) => {
      this.#ends = ends;
    }, () => {});
  }

  /**
   * Resolves once all has been read that had arrived before the call. Never rejects.
   *
   * @param sockets how many sockets may have something to read
   */
  async caughtUp(sockets: number): Promise<void> {
    if (this.#ends === undefined) {
      await new Promise((resolve) => setTimeout(resolve, WITHOUT_MARKER_MS));
      return;
    }
    // The first byte may be read before what other sockets still have from the turn before.
    const rounds = 2 + Math.ceil(sockets / READS_IN_TURN);
    let [previousAt, lastAt] = [-Infinity, performance.now()];
    for (let round = 0; round < rounds; round++) {
      await this.#roundFromNow();
      const now = performance.now();
      if (now - previousAt < QUICK_MS) return;
      [previousAt, lastAt] = [lastAt, now];
    }
  }

  /** Frees what it holds. */
  async close(): Promise<void> {
    await this.opened;
    this.#close();
  }

  #roundFromNow(): Promise<void> {
    if (this.#round === undefined) return this.#round = this.#goRound();
    return this.#nextRound ??= this.#round.then(() => this.#goRound());
  }

  async #goRound(): Promise<void> {
    try {
      if (this.#ends === undefined) return;
      const [writer, reader] = this.#ends;
      // Begun before the byte is there, so that it waits for its turn as the other sockets do.
      const read = reader.read(new Uint8Array(1));
      await Promise.all([read, writer.write(ONE_BYTE)]);
    } catch {
      this.#close(); // and goes on without
    } finally {
      this.#round = this.#nextRound;
      this.#nextRound = undefined;
    }
  }

  #close(): void {
    if (this.#ends !== undefined) closeAll(this.#ends);
    this.#ends = undefined;
  }
}

/** @returns two ends of a connection of this process to itself */
async function connectedPair(): Promise<[Deno.TcpConn, Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connecting = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  connecting.catch(() => listener.close());
  const accepted = await listener.accept();
  const connected = await connecting;
  if (accepted.remoteAddr.port !== connected.localAddr.port) {
    closeAll([accepted, connected]);
    throw new Error("Another process has connected");
  }
  connected.setNoDelay();
  return [connected, accepted];
}

function closeAll(sockets: readonly Deno.TcpConn[]): void {
  for (const socket of sockets) socket.close();
}
