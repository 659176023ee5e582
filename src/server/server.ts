import type { Logger } from "@logtape/logtape";
import type { Metrics } from "../observe/metrics.ts";
import { ThrottledWarnings } from "../observe/throttled_warnings.ts";
import { type Answer, Connection, type ConnectionLimits } from "./connection.ts";

/** How often connections are looked at for time limits that have passed, in milliseconds. */
const SWEEP_MS = 1000;

/** How long accepting rests after an error (no file descriptor is left, say), in milliseconds. */
const ACCEPT_PAUSE_MS = 100;

/** Accepts clients on one address and owns their connections. */
export class Server {
  readonly #listener: Deno.TcpListener;
  readonly #limits: ConnectionLimits;
  readonly #answer: Answer;
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #warnings: ThrottledWarnings;
  readonly #connections = new Map<Connection, Promise<void>>();
  #stopping = false;

  /** @param listener already listening; owned by the server from here on */
  constructor(
    listener: Deno.TcpListener,
    limits: ConnectionLimits,
    answer: Answer,
    metrics: Metrics,
    log: Logger,
  ) {
    this.#listener = listener;
    this.#limits = limits;
    this.#answer = answer;
    this.#metrics = metrics;
    this.#log = log;
    this.#warnings = new ThrottledWarnings(log);
  }

  /** Accepts connections until {@linkcode stop}. Never rejects. */
  async run(): Promise<void> {
    const sweep = setInterval(() => this.#closeOverdue(), SWEEP_MS);
    let lastComplaint = -Infinity;
    while (!this.#stopping) {
      try {
        this.#own(await this.#listener.accept());
      } catch (error) {
        if (this.#stopping) break;
        if (performance.now() - lastComplaint >= 1000) {
          lastComplaint = performance.now();
          this.#log.error("Cannot accept connections", { error: String(error) });
        }
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
    }
    clearInterval(sweep);
  }

  /** Stops listening, has checks under way answered, and closes the connections. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#listener.close();
    for (const connection of this.#connections.keys()) connection.finish();
    await Promise.all(this.#connections.values());
  }

  #own(socket: Deno.TcpConn): void {
    const connection = new Connection(
      socket,
      this.#limits,
      this.#answer,
      this.#log,
      this.#warnings,
    );
    this.#metrics.connections.inc();
    this.#log.debug("Connection opened", { peer: connection.peer });
    const served = connection.serve().finally(() => {
      this.#connections.delete(connection);
      this.#metrics.connections.dec();
      this.#log.debug("Connection closed", { peer: connection.peer });
    });
    this.#connections.set(connection, served);
  }

  #closeOverdue(): void {
    const now = performance.now();
    for (const connection of this.#connections.keys()) connection.closeIfOverdue(now);
  }
}
