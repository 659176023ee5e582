import type { ChannelCredentials } from "@grpc/grpc-js";
import http2 from "node:http2";
import net, { type Socket } from "node:net";

/**
 * Keeps a GOAWAY from killing a process: the agent's own, and that of a backend. To be called once, before the first
 * connection.
 *
 * Deno 2.9.4 and later emit a session's `goaway` event while nghttp2 is still reading the frame. grpc-js closes the
 * session inside that event, which frees nghttp2's session while it is in use: SIGSEGV or SIGABRT, which no JavaScript
 * can catch. So `close` and `destroy` of each client session are put off to the next tick, when the frame has been
 * read. grpc-js calls `http2.connect` as a property, so replacing the property reaches it.
 *
 * Deno's HTTP/2 servers have the same fault, and a health check must not kill a backend, so the agent
 * sends no GOAWAY of its own: it closes a connection on which no stream is open, which says the same.
 *
 * The fault: https://github.com/denoland/deno/issues/36788. This guard can go
 * when tests/integration/goaway_test.ts passes without it on the pinned Deno; that the agent sends no GOAWAY,
 * when no supported Deno has the fault.
 */
export function installGoawayGuard(): void {
  const connect = http2.connect;
  http2.connect = (...args: unknown[]) => {
    const session = Reflect.apply(connect, http2, args);
    putOffClosing(session);
    session.goaway = () => {};
    return session;
  };
}

/** Has a session's `close` and `destroy` wait for the next tick. */
export function putOffClosing(session: http2.Http2Session): void {
  const { close, destroy } = session;
  session.close = (closed?: () => void) => {
    // Of two closes in one tick the second does nothing, and would drop its callback.
    if (closed !== undefined) session.once("close", closed);
    process.nextTick(() => Reflect.apply(close, session, []));
  };
  session.destroy = (...args: unknown[]) => {
    process.nextTick(() => Reflect.apply(destroy, session, args));
  };
}

/** How long a closed channel may take to end its connection, in milliseconds: a frozen peer would keep it for ever. */
const GOODBYE_MS = 1000;

/** A socket that has not connected after this time is given up, in milliseconds. */
const GIVE_UP_CONNECTING_MS = 5000;

/**
 * Limits how long connecting may take: grpc-js sets no limit, and when a channel is closed leaves the attempt to the
 * kernel, which tries for two minutes. grpc-js calls `net.connect` as a property, so replacing the property reaches
 * it. To be called once, before the first connection.
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
