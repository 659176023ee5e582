import type { Socket } from "node:net";

interface Turn {
  readonly socket: Socket;
  /** Settles when the socket has closed, or its time is over. */
  readonly over: Promise<void>;
}

/**
 * Lets the sockets of a backend with several addresses go on one at a time, in the order in which they
 * were connected: one that accepts connections and is dead behind that must not hide the healthy ones.
 */
export class Turns {
  readonly #turnMs: number;
  #last: Turn | undefined;

  /** @param turnMs how long a turn lasts while others wait, in milliseconds */
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
    const begun = before?.over.then(() => {
      if (!socket.destroyed) before.socket.destroy();
    });
    this.#last = { socket, over: this.#over(socket, begun) };
    await begun;
    if (socket.destroyed) throw new Error("The connection was closed");
  }

  async #over(socket: Socket, begun: Promise<void> | undefined): Promise<void> {
    await begun;
    if (socket.destroyed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#turnMs);
      socket.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
