import { freePort } from "../../machine/free_port.ts";
import { close, pass, type Peer, PeerServer } from "./peer_server.ts";
import { refusing } from "./tcp_peers.ts";

/** A loopback port that stays the same while the server behind it changes. */
export class Front implements AsyncDisposable {
  readonly port = freePort();
  #door: Peer;
  #behind: PeerServer;

  /** @param behind the first server; it and all that follow are disposed of with the front */
  constructor(behind: PeerServer) {
    this.#behind = behind;
    this.#door = this.#open();
  }

  /** Puts another server behind the port; the connections of the one before are closed. */
  async lead(to: PeerServer): Promise<void> {
    await this.replace(to)[Symbol.asyncDispose]();
  }

  /** Gives new connections to another server. @returns the one before, which the caller disposes of */
  replace(by: PeerServer): PeerServer {
    const before = this.#behind;
    this.#behind = by;
    return before;
  }

  /**
   * Gives up the port, so that something else can take it; the connections are closed.
   *
   * @param occupy takes the port
   */
  async vacate(occupy: (port: number) => Peer | Promise<Peer>): Promise<void> {
    await this[Symbol.asyncDispose]();
    this.#door = await occupy(this.port);
  }

  /** Takes the port back. */
  async reopen(behind: PeerServer): Promise<void> {
    await this.#door[Symbol.asyncDispose]();
    this.#behind = behind;
    this.#door = this.#open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const door = this.#door;
    this.#door = refusing(this.port); // until something else takes the port, which may fail
    await door[Symbol.asyncDispose]();
    await this.#behind[Symbol.asyncDispose]();
  }

  #open(): Peer {
    const address = { hostname: "127.0.0.1", port: this.port };
    return new Door(address, (connection) => this.#behind.adopt(connection));
  }
}

/** Accepts connections and hands them on; they outlive it. */
class Door implements Peer {
  readonly port: number;
  connections = 0;
  #listener: Deno.TcpListener;
  #done: Promise<void>;

  constructor(
    address: { hostname: string; port: number },
    handOn: (connection: Deno.TcpConn) => void,
  ) {
    this.port = address.port;
    this.#listener = Deno.listen(address);
    this.#done = this.#accept(handOn);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#done;
  }

  async #accept(handOn: (connection: Deno.TcpConn) => void): Promise<void> {
    for await (const connection of this.#listener) {
      this.connections++;
      handOn(connection);
    }
  }
}

/**
 * A server that passes connections on to another port of this machine, as a balancer does.
 *
 * @param look makes, for each connection, a function that sees what its client sends
 */
export function wayTo(port: number, look?: () => (bytes: Uint8Array) => void): PeerServer {
  return new PeerServer(async (connection) => {
    connection.setNoDelay();
    const onward = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
    if (onward === undefined) return close(connection);
    onward.setNoDelay();
    const end = () => {
      close(connection);
      close(onward);
    };
    await Promise.allSettled([
      pass(connection, onward, look?.()).finally(end),
      pass(onward, connection).finally(end),
    ]);
  });
}
