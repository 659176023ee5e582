import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { TLSSocket } from "node:tls";
import { freePort } from "../../machine/free_port.ts";
import {
  acknowledgementOf,
  concat,
  endsStream,
  type Frame,
  FrameType,
  isAcknowledgement,
  type Settings,
  settings,
} from "../http2/frames.ts";
import { type HeaderField, HpackReader } from "../http2/hpack_reader.ts";
import { WireObserver } from "../http2/wire_observer.ts";
import type { CertificateFiles } from "../tls/certificates.ts";
import { healthAnswer } from "./http2_peer.ts";

/** A frame of a client, and on which connection it came. */
export interface ClientFrame extends Frame {
  /** The number of its connection, from 1. */
  connection: number;
  /** When it had come, by `performance.now()`. */
  at: number;
}

/** How a {@linkcode ScriptedServer} behaves. Without any option it is a healthy backend. */
export interface ScriptedServerOptions {
  /** The address it listens on. @default {"127.0.0.1"} */
  hostname?: string;
  /** @default {a free one} */
  port?: number;
  /** With it the server speaks TLS. `alpn` is what it offers; without `alpn` it says nothing of ALPN. */
  tls?: CertificateFiles & { alpn?: readonly string[] };
  /** Milliseconds in which a new connection gets no answer at all, not even of TLS. @default {0} */
  acceptDelayMs?: number;
  /** Called when a connection is accepted, before TLS; it may end the connection. */
  accept?: (connection: ScriptedConnection) => void | Promise<void>;
  /**
   * Called when the connection is ready for HTTP/2; it sends what comes first, or ends the connection.
   *
   * @default {sends empty SETTINGS}
   */
  greet?: (connection: ScriptedConnection) => void | Promise<void>;
  /** What the default greeting says. */
  settings?: Settings;
  /** Which SETTINGS and PINGs are acknowledged. @default {all} */
  acknowledges?: (frame: ClientFrame) => boolean;
  /** Called when a request has begun, with its HEADERS. */
  begin?: (call: ScriptedCall) => void | Promise<void>;
  /** Called at the end of each request. @default {SERVING} */
  answer?: (call: ScriptedCall) => void | Promise<void>;
}

/** A request, and the means to answer it in any way. */
export class ScriptedCall {
  readonly connection: ScriptedConnection;
  readonly streamId: number;
  /** The number of this call on the server, from 1. */
  readonly nth: number;
  /** The number of this call on its connection, from 1. */
  readonly nthOfConnection: number;
  /** Its header fields, in their order; of a block in one frame. */
  fields: readonly HeaderField[] = [];
  /** The bytes of its DATA so far. */
  data: Uint8Array = new Uint8Array();

  constructor(connection: ScriptedConnection, streamId: number, nth: number) {
    this.connection = connection;
    this.streamId = streamId;
    this.nth = nth;
    this.nthOfConnection = connection.calls.length + 1;
  }

  /** The service that is asked for: the one field of a HealthCheckRequest, of less than 128 bytes. */
  get service(): string {
    return new TextDecoder().decode(this.data.subarray(7));
  }

  /** Answers completely, and in one write; 1 is SERVING. */
  serve(status = 1): Promise<void> {
    return this.connection.send(healthAnswer(this.streamId, status));
  }

  /** Sends frames, or bytes that are no frames, in one write. */
  send(...frames: Uint8Array[]): Promise<void> {
    return this.connection.send(...frames);
  }

  /** Waits; no longer than the server lives. */
  pause(ms: number): Promise<void> {
    return this.connection.pause(ms);
  }
}

/** One connection of a {@linkcode ScriptedServer}. */
export class ScriptedConnection {
  /** The number of the connection, from 1. */
  readonly nth: number;
  /** All that has come. */
  readonly frames: ClientFrame[] = [];
  /** The sizes of the reads in which it came. */
  readonly reads: number[] = [];
  readonly calls: ScriptedCall[] = [];
  readonly observer = new WireObserver();
  readonly hpack = new HpackReader();
  /** Resolves when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>;
  isClosed = false;
  /** Resolves when it has been greeted: before that nothing is acknowledged or answered. */
  readonly greeted = Promise.withResolvers<void>();
  /** How the client ended it, if it was the first to do so. */
  endedByClient: "close" | "reset" | undefined;
  #raw: Socket;
  #socket: Socket;
  #signal: AbortSignal;

  constructor(nth: number, raw: Socket, signal: AbortSignal) {
    this.nth = nth;
    this.#raw = this.#socket = raw;
    this.#signal = signal;
    raw.setNoDelay();
    raw.on("error", () => this.endedByClient ??= "reset");
    this.closed = new Promise((resolve) =>
      raw.on("close", () => {
        this.isClosed = true;
        this.greeted.resolve();
        resolve();
      })
    );
  }

  /** Speaks TLS from here on. @returns whether the handshake came to a good end */
  async secure(certificate: { cert: string; key: string; alpn?: readonly string[] }) {
    const { cert, key, alpn } = certificate;
    const socket = new TLSSocket(this.#raw, {
      isServer: true,
      ...{ cert, key },
      ...alpn === undefined ? {} : { ALPNProtocols: [...alpn] },
    });
    this.#socket = socket;
    const secured = new Promise<boolean>((resolve) => {
      socket.on("error", () => resolve(false));
      socket.on("secure", () => resolve(true));
    });
    return await Promise.race([secured, this.closed.then(() => false)]);
  }

  /** Hands what the client sends to a function until the connection ends. */
  listen(take: (bytes: Uint8Array) => void): void {
    this.#socket.on("data", (bytes: Uint8Array) => take(bytes));
    this.#socket.on("end", () => {
      this.endedByClient ??= "close";
      this.#socket.end();
    });
  }

  /** Sends frames, or bytes that are no frames, in one write; nothing when the connection is gone. */
  send(...frames: Uint8Array[]): Promise<void> {
    const bytes = concat(...frames);
    this.observer.fromServer(bytes);
    return this.#write(bytes);
  }

  /** Sends the same in reads of one byte each, or of `size` bytes. */
  async sendInPieces(bytes: Uint8Array, size = 1): Promise<void> {
    for (let at = 0; at < bytes.length && !this.isClosed; at += size) {
      await this.send(bytes.subarray(at, at + size));
    }
  }

  /** Sends the last bytes and closes. */
  async end(...frames: Uint8Array[]): Promise<void> {
    const bytes = concat(...frames);
    this.observer.fromServer(bytes);
    if (bytes.length > 0) this.#socket.end(bytes);
    else this.#socket.end();
    await new Promise((resolve) => setImmediate(resolve));
    this.#raw.destroySoon();
  }

  /** Resets the connection (RST). */
  reset(): void {
    this.#raw.resetAndDestroy();
  }

  /** Waits; no longer than the server lives. */
  pause(ms: number): Promise<void> {
    return wait(ms, undefined, { signal: this.#signal }).catch(() => {});
  }

  destroy(): void {
    this.#socket.destroy();
    this.#raw.destroy();
  }

  #write(bytes: Uint8Array): Promise<void> {
    // Takes a turn of the event loop, so that a test that floods without end notices the close.
    if (!this.#socket.writable) return new Promise((resolve) => setImmediate(resolve));
    const written = new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()));
    return Promise.race([written, this.closed]);
  }
}

/**
 * An HTTP/2 server, plain or over TLS, that does what a test says, records every frame of its clients, and
 * judges whether they are legal.
 */
export class ScriptedServer implements AsyncDisposable {
  /** All connections, also those that are gone. */
  readonly connections: ScriptedConnection[] = [];
  /** All calls, in the order in which they began. */
  readonly calls: ScriptedCall[] = [];
  readonly port: number;
  readonly #options: ScriptedServerOptions;
  readonly #server: Server;
  readonly #ending = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #work = new Set<Promise<void>>();
  #failure: unknown;

  private constructor(options: ScriptedServerOptions) {
    this.#options = options;
    this.port = options.port ?? freePort();
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      const { signal } = this.#ending;
      const connection = new ScriptedConnection(this.connections.length + 1, socket, signal);
      this.connections.push(connection);
      this.#do(() => this.#serve(connection));
    });
  }

  static async start(options: ScriptedServerOptions = {}): Promise<ScriptedServer> {
    const server = new ScriptedServer(options);
    await new Promise<void>((resolve, reject) => {
      server.#server.once("error", reject);
      server.#server.listen(server.port, options.hostname ?? "127.0.0.1", resolve);
    });
    return server;
  }

  /** All frames of all connections, in the order in which they came. */
  get frames(): ClientFrame[] {
    return this.connections.flatMap(({ frames }) => frames).sort((a, b) => a.at - b.at);
  }

  /** Frames of a type that are no acknowledgements. */
  framesOf(type: keyof typeof FrameType): ClientFrame[] {
    const isWanted = (frame: ClientFrame) =>
      frame.type === FrameType[type] && !isAcknowledgement(frame);
    return this.frames.filter(isWanted);
  }

  /** What clients sent that is not legal, with the number of its connection. */
  get violations(): string[] {
    return this.connections.flatMap(({ nth, observer }) =>
      observer.violations.map((what) => `connection ${nth}: ${what}`)
    );
  }

  /** Connections that are not closed. */
  get open(): ScriptedConnection[] {
    return this.connections.filter(({ isClosed }) => !isClosed);
  }

  /** The request line that asks the agent for this server. */
  line(options: { host?: string; authority?: string; option?: string } = {}): string {
    const { host = "127.0.0.1", authority = "backend.test", option = "" } = options;
    const flag = this.#options.tls === undefined ? "no-ssl" : "ssl";
    return `${host} ${this.port} ${flag} ${authority}${option === "" ? "" : ` ${option}`}\n`;
  }

  /** @throws {unknown} what a function of the test threw */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#ended.resolve();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const connection of this.connections) connection.destroy();
    await closed;
    await Promise.all(this.#work);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #do(work: () => void | Promise<void>): void {
    // A function of the test may wait for something that never comes; the end of the server ends the wait.
    const done = Promise.race([(async () => await work())(), this.#ended.promise])
      .catch((error) => this.#failure ??= error)
      .finally(() => this.#work.delete(done));
    this.#work.add(done);
  }

  async #serve(connection: ScriptedConnection): Promise<void> {
    const { acceptDelayMs = 0, accept, greet, tls } = this.#options;
    if (acceptDelayMs > 0) await connection.pause(acceptDelayMs);
    await accept?.(connection);
    if (connection.isClosed) return;
    if (tls !== undefined) {
      const [cert = "", key = ""] = await Promise.all(
        [tls.cert, tls.key].map((path) => Deno.readTextFile(path)),
      );
      if (!await connection.secure({ ...tls, cert, key })) return;
    }
    connection.listen((bytes) => this.#take(connection, bytes));
    await (greet ?? (() => connection.send(settings(this.#options.settings))))(connection);
    connection.greeted.resolve();
  }

  #take(connection: ScriptedConnection, bytes: Uint8Array): void {
    const { acknowledges = () => true } = this.#options;
    const at = performance.now();
    connection.reads.push(bytes.length);
    for (const frame of connection.observer.fromClient(bytes)) {
      const seen = { ...frame, connection: connection.nth, at };
      connection.frames.push(seen);
      const reply = acknowledgementOf(frame);
      if (reply && acknowledges(seen)) {
        this.#do(() => connection.greeted.promise.then(() => connection.send(reply)));
      }
      this.#advance(connection, frame);
    }
  }

  #advance(connection: ScriptedConnection, frame: Frame): void {
    const { type, streamId, payload } = frame;
    const { begin, answer = (call) => call.serve() } = this.#options;
    let call = connection.calls.find((call) => call.streamId === streamId);
    if (type === FrameType.HEADERS && call === undefined) {
      const begun = call = new ScriptedCall(connection, streamId, this.calls.length + 1);
      begun.fields = connection.hpack.read(payload);
      connection.calls.push(begun);
      this.calls.push(begun);
      if (begin) this.#do(() => begin(begun));
    }
    if (call === undefined) return;
    const asked = call;
    if (type === FrameType.DATA) asked.data = concat(asked.data, payload);
    if (endsStream(frame)) {
      this.#do(() => connection.greeted.promise.then(() => answer(asked)));
    }
  }
}
