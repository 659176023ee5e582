import type { Socket } from "node:net";
import { setDeadline } from "./deadline.ts";

interface Turn {
  readonly socket: Socket;
  /** Settles when the turn has begun. */
  readonly begun: Promise<void>;
  begunAt: number;
}

/**
 * Lets the sockets of a backend with several addresses go on one at a time, in the order in which they
 * were connected: one that accepts connections and is dead behind that must not hide the healthy ones.
 */
export class Turns {
  readonly #turnMs: number;
  #last: Turn | undefined;

  /** @param turnMs how long a turn lasts when another waits for its end, in milliseconds */
  constructor(turnMs: number) {
    this.#turnMs = turnMs;
  }

  /**
   * Waits until it is this socket's turn. The socket before it is destroyed then.
   *
   * @throws {Error} when this one was closed meanwhile
   */
  async take(socket: Socket): Promise<void> {
    const before = this.#last;
    const begun = before === undefined ? Promise.resolve() : this.#endOf(before, socket);
    const turn = { socket, begun, begunAt: performance.now() };
    this.#last = turn;
    await begun;
    turn.begunAt = performance.now();
    if (socket.destroyed) throw new Error("The connection was closed");
  }

  /** Waits until a turn is over: its socket has closed, or has had its time. */
  async #endOf(turn: Turn, next: Socket): Promise<void> {
    const { socket } = turn;
    await turn.begun;
    if (socket.destroyed) return;
    await new Promise<void>((resolve) => {
      const restMs = turn.begunAt + this.#turnMs - performance.now();
      const cancelDeadline = setDeadline(resolve, restMs);
      for (const either of [socket, next]) {
        either.once("close", () => {
          cancelDeadline();
          resolve();
        });
      }
    });
    if (!next.destroyed) socket.destroy();
  }
}
