import type { ClientRules } from "../access/rules.ts";
import { type Logger, ThrottledWarnings } from "../log/log.ts";
import { UnorderedSet } from "../unordered_set.ts";
import { type AnswerLine, Connection, type ConnectionLimits } from "./connection.ts";
import { ReadLimiter } from "./read_limiter.ts";

/** How often connections are looked at for time limits that have passed, in milliseconds. */
const SWEEP_MS = 1000;

/** How long accepting rests after an error (no file descriptor is left, say), in milliseconds. */
const ACCEPT_PAUSE_MS = 100;

/** Such an error is logged no more often than this, in milliseconds. */
const ACCEPT_COMPLAINT_MS = 1000;

/** Values of {@linkcode Rejection}. */
export const REJECTIONS = ["max_connections", "client_not_allowed"] as const;

/** Why a connection is closed at once. */
export type Rejection = (typeof REJECTIONS)[number];

/** Told what becomes of clients' connections. */
export interface ServerObserver {
  clientConnected(): void;
  clientDisconnected(): void;
  /** A connection is closed at once. */
  countRejection(reason: Rejection): void;
}

/** How a new connection is treated. */
export interface Admission {
  /** Who may connect; others are closed without a word. */
  readonly clientRules: ClientRules;
  /** How many may be connected; one more is closed at once. */
  readonly maxConnections: number;
  readonly limits: ConnectionLimits;
}

/** Accepts clients and owns their connections. */
export class Server {
  readonly #listeners: readonly Deno.TcpListener[];
  readonly #admission: () => Admission;
  readonly #answer: AnswerLine;
  readonly #observer: ServerObserver;
  readonly #log: Logger;
  readonly #warnings: ThrottledWarnings;
  readonly #connections = new UnorderedSet<Connection>();
  readonly #reads = new ReadLimiter();
  #stopping = false;

  /**
   * @param listeners already listening; owned by the server from here on
   * @param admission asked for each new connection, so that it may change
   * @param answer gives the reply to a line, of whichever connection
   */
  constructor(
    listeners: readonly Deno.TcpListener[],
    admission: () => Admission,
    answer: AnswerLine,
    observer: ServerObserver,
    log: Logger,
  ) {
    this.#listeners = listeners;
    this.#admission = admission;
    this.#answer = answer;
    this.#observer = observer;
    this.#log = log;
    this.#warnings = new ThrottledWarnings(log);
  }

  /** Accepts connections until {@linkcode stop}. Never rejects. */
  async run(): Promise<void> {
    const sweep = setInterval(() => this.#closeOverdue(), SWEEP_MS);
    await Promise.all(this.#listeners.map((listener) => this.#accept(listener)));
    clearInterval(sweep);
  }

  /** Stops listening, has checks under way answered, and closes the connections. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const listener of this.#listeners) listener.close();
    for (const connection of this.#connections) connection.finish();
    await Promise.all([...this.#connections].map(({ ended }) => ended));
  }

  /** Closes the connections of clients that are not allowed any more, with the answers they are owed. */
  dismissClients(): void {
    const { clientRules } = this.#admission();
    for (const connection of this.#connections) {
      if (!clientRules.allows(connection.peer.host)) connection.finish();
    }
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    let complainedAt = -Infinity;
    while (!this.#stopping) {
      try {
        await this.#reads.takeAccept();
        this.#admit(await listener.accept());
      } catch (error) {
        if (this.#stopping) return;
        if (isGoneClient(error)) continue;
        if (performance.now() - complainedAt >= ACCEPT_COMPLAINT_MS) {
          complainedAt = performance.now();
          this.#log.error("Cannot accept connections", { error: String(error) });
        }
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
    }
  }

  #admit(socket: Deno.TcpConn): void {
    const { clientRules, maxConnections, limits } = this.#admission();
    if (!clientRules.allows(socket.remoteAddr.hostname)) {
      this.#reject(socket, "client_not_allowed");
    } else if (this.#connections.size >= maxConnections) {
      this.#reject(socket, "max_connections");
    } else {
      void this.#own(
        new Connection(socket, limits, this.#answer, this.#log, this.#warnings, this.#reads),
      );
    }
  }

  #reject(socket: Deno.TcpConn, reason: Rejection): void {
    this.#observer.countRejection(reason);
    const peer = socket.remoteAddr.hostname;
    this.#warnings.warn("Connection rejected", () => ({ peer, reason }));
    socket.close();
  }

  async #own(connection: Connection): Promise<void> {
    this.#connections.add(connection);
    this.#observer.clientConnected();
    this.#log.debug("Connection opened", { peer: connection.peer.text });
    await connection.ended;
    this.#connections.delete(connection);
    this.#observer.clientDisconnected();
    this.#log.debug("Connection closed", { peer: connection.peer.text });
  }

  #closeOverdue(): void {
    const now = performance.now();
    for (const connection of this.#connections) connection.closeIfOverdue(now);
  }
}

/** Whether accepting failed because that one client has already reset: the next may be fine. */
function isGoneClient(error: unknown): boolean {
  const { ConnectionAborted, ConnectionReset, NotConnected } = Deno.errors;
  return [ConnectionAborted, ConnectionReset, NotConnected].some((kind) => error instanceof kind);
}
