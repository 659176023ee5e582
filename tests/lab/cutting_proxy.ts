import { connect, createServer, type Server, type Socket } from "node:net";

/** What comes in place of the rest of an answer. */
export type Cut = "silence" | "close" | "reset";

/**
 * A backend's address that breaks off what the backend sends, on each connection after the same number of
 * bytes: in the middle of a TLS flight, of a frame, of an answer.
 */
export class CuttingProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut: { readonly after: number; readonly by: Cut } | undefined;
  #sent = 0;
  readonly #flights: number[] = [];

  private constructor(backendPort: number) {
    this.#server = createServer((client) => this.#join(client, connect(backendPort, "127.0.0.1")));
  }

  /** Listens in front of a backend on loopback; without a cut it only passes on. */
  static async start(backendPort: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(backendPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("It does not listen");
    return address.port;
  }

  /** Bytes of the backend that were passed on, over all connections. */
  get sent(): number {
    return this.#sent;
  }

  /**
   * After how many bytes of the backend each flight began: what it sent in reply to something, beginning with
   * the first.
   */
  get flights(): readonly number[] {
    return this.#flights;
  }

  /** From the next connection on. */
  cut(after: number, by: Cut): void {
    this.#cut = { after, by };
  }

  /** New connections are whole again; those that were cut stay so. */
  heal(): void {
    this.#cut = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(client: Socket, backend: Socket): void {
    const cut = this.#cut;
    let left = cut?.after ?? Infinity;
    let replies = true;
    for (const socket of [client, backend]) {
      this.#sockets.add(socket);
      socket.setNoDelay();
      socket.on("error", () => {});
    }
    client.on("data", (bytes) => {
      replies = true;
      backend.write(bytes);
    });
    client.on("close", () => {
      this.#sockets.delete(client);
      backend.destroy();
    });
    backend.on("close", () => {
      this.#sockets.delete(backend);
      if (left > 0) client.end();
    });
    const breakOff = () => {
      if (cut?.by === "close") client.end();
      if (cut?.by === "reset") client.resetAndDestroy();
    };
    if (left === 0) breakOff();
    backend.on("data", (bytes: Uint8Array) => {
      if (left === 0) return;
      if (replies) this.#flights.push(this.#sent);
      replies = false;
      const part = bytes.subarray(0, left);
      left -= part.length;
      this.#sent += part.length;
      client.write(part, () => {
        if (left === 0) breakOff();
      });
    });
  }
}
