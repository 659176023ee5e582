/** A health reply is a few bytes. What is longer than 4 KiB is not one. */
export const MAX_REPLY_BYTES = 4096;

/** What an RPC may bring in all: its reply, and twice as much of headers and trailers. */
const MAX_RPC_BYTES = 3 * MAX_REPLY_BYTES;

/**
 * What a peer may send besides, from the end of one RPC to that of the next: SETTINGS, PINGs, messages of
 * Watch streams. Small frames cost much time each, and whoever sends them without end would keep the other
 * checks waiting.
 */
const MAX_OTHER_BYTES = 16 * 1024;

/** Notices a peer that sends without end. */
export class FloodGuard {
  /** What came since the last RPC ended. */
  #received = 0;
  #flooded = false;

  /** Whether it has ever been too much. */
  get flooded(): boolean {
    return this.#flooded;
  }

  /** Bytes have come while so many RPCs were under way. @returns whether it is too much now */
  count(bytes: number, rpcsUnderWay: number): boolean {
    this.#received += bytes;
    const tooMuch = this.#received > MAX_OTHER_BYTES + rpcsUnderWay * MAX_RPC_BYTES;
    this.#flooded ||= tooMuch;
    return tooMuch;
  }

  /** An RPC has ended: the peer does what it is there for. */
  rpcEnded(): void {
    this.#received = 0;
  }
}
