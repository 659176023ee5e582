import { freePort } from "../../machine/free_port.ts";

/** A backend of a test: something on a port, disposed of by its owner. */
export interface Peer extends AsyncDisposable {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: number;
}

/** A listener on loopback that hands each connection to a function of the test. */
export class PeerServer implements Peer {
  readonly port: number;
  #listener: Deno.TcpListener;
  #open = new Set<Deno.TcpConn>();
  #accepted = 0;
  #serve: (connection: Deno.TcpConn) => void | Promise<void>;
  #served: Promise<void>[] = [];
  #done: Promise<void>;
  #closed: Promise<void> | undefined;

  /**
   * @param serve speaks with one client; the connection stays open when it returns. What it throws
   * because the client has gone is expected and dropped.
   * @param address where it listens, unless on a free port of 127.0.0.1
   */
  constructor(
    serve: (connection: Deno.TcpConn) => void | Promise<void>,
    address: { hostname: string; port: number } = { hostname: "127.0.0.1", port: freePort() },
  ) {
    this.port = address.port;
    this.#listener = Deno.listen(address);
    this.#serve = serve;
    this.#done = this.#accept();
  }

  get connections(): number {
    return this.#accepted;
  }

  /** Takes a connection that was accepted elsewhere as one of its own. */
  adopt(connection: Deno.TcpConn): void {
    this.#accepted++;
    this.#open.add(connection);
    this.#served.push(
      (async () => await this.#serve(connection))().catch((error) => {
        if (!hasGone(error)) throw error;
      }),
    );
  }

  /** Closes the listener and all connections; may be called again. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) close(connection);
    await this.#done;
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) this.adopt(connection);
    await Promise.all(this.#served);
  }
}

/** Closes a connection that may be closed already. */
export function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** Sends all bytes. */
export async function send(connection: Pick<Deno.Conn, "write">, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await connection.write(rest));
}

/**
 * Sends what comes from one connection to another until the first has ended.
 *
 * @param look sees what comes
 */
export async function pass(
  from: Pick<Deno.Conn, "read">,
  to: Pick<Deno.Conn, "write">,
  look?: (bytes: Uint8Array) => void,
): Promise<void> {
  const buffer = new Uint8Array(16_384);
  for (let count; (count = await from.read(buffer)) !== null;) {
    look?.(buffer.slice(0, count));
    await send(to, buffer.subarray(0, count));
  }
}

/** Reads and drops what comes until the client closes. */
export async function drain(connection: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(4096);
  while (await connection.read(buffer) !== null);
}

/** Whether an error says that the other side has closed the connection, or that this side has. */
export function hasGone(error: unknown): boolean {
  return [
    Deno.errors.BadResource,
    Deno.errors.BrokenPipe,
    Deno.errors.ConnectionReset,
    Deno.errors.Interrupted,
    Deno.errors.NotConnected,
  ].some((kind) => error instanceof kind);
}
