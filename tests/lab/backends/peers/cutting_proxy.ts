import { connect, createServer, type Server, type Socket } from "node:net";

/** What comes in place of the rest of an answer. */
export type Cut = "silence" | "close" | "reset" | "garbage";

/** A record of TLS that nobody has encrypted: who gets it says so by an alert, and closes. */
export const GARBAGE_RECORD: Uint8Array = Uint8Array.of(23, 3, 3, 0, 40, ...new Uint8Array(40));

/**
 * A backend's address that breaks off what the backend sends after some number of bytes: in the middle of
 * a TLS flight, of a frame, of an answer.
 */
export class CuttingProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #passages = new Set<Passage>();
  #cut: { readonly after: number; readonly by: Cut } | undefined;
  readonly #flights: number[] = [];
  #sent = 0;
  #connections = 0;

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

  /** Connections accepted so far. */
  get connections(): number {
    return this.#connections;
  }

  /** From the next connection on, on each after the same number of bytes. */
  cut(after: number, by: Cut): void {
    this.#cut = { after, by };
  }

  /** The connections that there are, after so many bytes more; later ones are whole. */
  cutKept(after: number, by: Cut): void {
    for (const passage of this.#passages) passage.cut(after, by);
  }

  /** Puts bytes before what the client sends next on each of the connections that there are. */
  insertIntoKept(bytes: Uint8Array): void {
    for (const passage of this.#passages) passage.insert(bytes);
  }

  /** New connections are whole again; those that were cut stay so. */
  heal(): void {
    this.#cut = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const passage of this.#passages) passage.destroy();
    await closed;
  }

  #join(client: Socket, backend: Socket): void {
    this.#connections++;
    const passage = new Passage(client, backend, (count, isReply) => {
      if (isReply) this.#flights.push(this.#sent);
      this.#sent += count;
    });
    if (this.#cut !== undefined) passage.cut(this.#cut.after, this.#cut.by);
    this.#passages.add(passage);
    client.on("close", () => this.#passages.delete(passage));
  }
}

/** One connection through the proxy; it ends with the client's. */
class Passage {
  readonly #client: Socket;
  readonly #backend: Socket;
  #left = Infinity;
  #by: Cut = "silence";
  #inserted: Uint8Array | undefined;

  /** @param onSent told of the backend's bytes that are passed on, and whether the client had sent some before */
  constructor(
    client: Socket,
    backend: Socket,
    onSent: (count: number, isReply: boolean) => void,
  ) {
    this.#client = client;
    this.#backend = backend;
    for (const socket of [client, backend]) {
      socket.setNoDelay();
      socket.on("error", () => {});
    }
    let isReply = true;
    client.on("data", (bytes) => {
      isReply = true;
      if (this.#inserted !== undefined) backend.write(this.#inserted);
      this.#inserted = undefined;
      backend.write(bytes);
    });
    client.on("close", () => backend.destroy());
    let isBroken = false;
    backend.on("close", () => {
      if (!isBroken) client.end();
    });
    backend.on("data", (bytes: Uint8Array) => {
      if (isBroken) return;
      const part = bytes.subarray(0, this.#left);
      this.#left -= part.length;
      isBroken = this.#left === 0;
      onSent(part.length, isReply);
      isReply = false;
      client.write(part, isBroken ? () => this.#breakOff() : undefined);
    });
  }

  /** Lets so many bytes of the backend pass, and no more; without any, it breaks where the first would come. */
  cut(after: number, by: Cut): void {
    this.#left = after;
    this.#by = by;
  }

  /** Puts bytes before the client's next ones. */
  insert(bytes: Uint8Array): void {
    this.#inserted = bytes;
  }

  destroy(): void {
    this.#client.destroy();
    this.#backend.destroy();
  }

  #breakOff(): void {
    if (this.#by === "close") this.#client.end();
    if (this.#by === "reset") this.#client.resetAndDestroy();
    if (this.#by === "garbage") this.#client.write(GARBAGE_RECORD);
  }
}

/** One place in what a backend sends, one way to break off there. */
export interface Place {
  /** Bytes before it. */
  readonly after: number;
  readonly by: Cut;
}

/** In how many places {@linkcode everywhereIn} cuts. */
const PLACES = 8;

/** Places that are spread evenly over so many bytes, and all ways to break off there. */
export function everywhereIn(bytes: number): Place[] {
  return (["silence", "close", "reset"] as const).flatMap((by) =>
    Array.from({ length: PLACES }, (_, index) => ({
      after: Math.floor(bytes * index / PLACES),
      by,
    }))
  );
}
