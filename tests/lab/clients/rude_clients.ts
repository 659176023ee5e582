import { connect } from "node:net";
import { eventually } from "../testing/eventually.ts";

/** A client that sends a line without end, as fast as it is taken, and reads nothing. */
export class DeafClient implements AsyncDisposable {
  /** Settles when the agent, or the owner of this client, has closed the connection. */
  readonly ended: Promise<void>;
  #connection: Deno.TcpConn;
  #sentBytes = 0;

  private constructor(connection: Deno.TcpConn, line: string) {
    this.#connection = connection;
    this.ended = this.#send(new TextEncoder().encode(line.repeat(10_000)));
  }

  /** Connects to a loopback port. */
  static async open(port: number, line: string): Promise<DeafClient> {
    return new DeafClient(await Deno.connect({ hostname: "127.0.0.1", port }), line);
  }

  /** How many bytes were taken so far. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.close();
    await this.ended;
  }

  async #send(lines: Uint8Array): Promise<void> {
    try {
      while (true) this.#sentBytes += await this.#connection.write(lines);
    } catch {
      // The connection is closed, by the agent or by the owner of this client.
    }
  }
}

/**
 * Sends something to the agent and resets the connection (RST), as HAProxy does after each reply and at its
 * timeout.
 *
 * @param condition when to reset
 */
export async function resetAfter(
  port: number,
  text: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {});
  await new Promise<void>((resolve) => socket.write(text, () => resolve()));
  await eventually("the moment to reset", condition);
  socket.resetAndDestroy();
  await closed;
}
