import type { ChannelCredentials } from "@grpc/grpc-js";
import net, { type Socket } from "node:net";

/** How long a closed channel has for saying goodbye, in milliseconds. A frozen peer would hold it for ever. */
const GOODBYE_MS = 1000;

/** A socket that has not connected after this time is given up, in milliseconds. */
const GIVE_UP_CONNECTING_MS = 5000;

/**
 * Ends attempts to connect that nobody ends: grpc-js has no limit for them, and closing a channel leaves
 * them to the kernel, which tries for two minutes. grpc-js calls `net.connect` as a property, so replacing
 * the property reaches it. To be called once, before the first connection.
 */
export function limitConnecting(): void {
  const { connect } = net;
  net.connect = (...args: unknown[]): Socket => {
    const socket = Reflect.apply(connect, net, args);
    const timer = setTimeout(() => {
      if (socket.connecting) socket.destroy(new Error("connect ETIMEDOUT"));
    }, GIVE_UP_CONNECTING_MS);
    timer.unref();
    return socket;
  };
}

/** The connected sockets of one channel: grpc-js forgets one whose TLS or HTTP/2 has not begun by then. */
export class HeldSockets {
  readonly #sockets = new Set<Socket>();
  #released = false;

  /** @returns the credentials, changed so that this gets to know of each socket that they secure */
  heldBy(credentials: ChannelCredentials): ChannelCredentials {
    const create = credentials._createSecureConnector;
    credentials._createSecureConnector = (...args) => {
      const connector = create.apply(credentials, args);
      const connect = connector.connect;
      connector.connect = async (socket) => {
        // grpc-js destroys the socket then.
        if (this.#released) throw new Error("The channel was closed");
        this.#sockets.add(socket);
        socket.once("close", () => this.#sockets.delete(socket));
        return await connect.call(connector, socket);
      };
      return connector;
    };
    return credentials;
  }

  /** Destroys them a little later, if they are still there then. */
  release(): void {
    this.#released = true;
    if (this.#sockets.size === 0) return;
    setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, GOODBYE_MS).unref();
  }
}
