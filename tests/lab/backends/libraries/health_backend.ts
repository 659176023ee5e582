import { freePort } from "../../machine/free_port.ts";
import { LabProcess } from "../../machine/lab_process.ts";
import { untilStopped } from "../../machine/process_state.ts";
import { within, withSeen } from "../../testing/eventually.ts";
import { ROOT } from "../../testing/repository.ts";

/** The statuses of `grpc.health.v1`, or a raw number for one that does not exist. */
export type HealthStatus = "UNKNOWN" | "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN" | number;

/** How a backend starts; `restart` starts it the same way. */
export interface HealthBackendOptions {
  /** The loopback address; IPv6 in brackets. @default {"127.0.0.1"} */
  host?: string;
  /** The port. @default {a free one} */
  port?: number;
  /** Status by service name; "" is the server as a whole. @default {{ "": "SERVING" }} */
  services?: Record<string, HealthStatus>;
  /** Paths of PEM files; with them the server speaks TLS. */
  tls?: { cert: string; key: string; clientCa?: string };
  /** Whether TLS 1.2 is the highest version that it speaks (Go). @default {false} */
  tls12?: boolean;
  /** Milliseconds after which a connection is closed politely (`grpc.max_connection_age_ms`). */
  maxConnectionAgeMs?: number;
  /** Milliseconds for the calls of such a connection to end. @default {1000} */
  maxConnectionAgeGraceMs?: number;
  /** Milliseconds each answer is held back. @default {0} */
  delayMs?: number;
  /** Whether Watch is not implemented. @default {false} */
  withoutWatch?: boolean;
  /** Streams that a connection may have open at once. @default {no bound} */
  maxConcurrentStreams?: number;
  /** Threads that answer; a Watch stream takes one (C core). @default {32} */
  threads?: number;
}

/** One call that a backend has seen. */
export interface BackendCall {
  method: "Check" | "Watch";
  service: string;
  /** The `:authority` of the call; "" where the server library does not tell. */
  authority: string;
  /** The address of the client's connection. */
  peer: string;
  metadata: Record<string, string>;
}

/** What a backend has seen since it was started. */
export interface BackendReport {
  /** Health RPCs received. */
  calls: number;
  /** How many of them were Checks. */
  checks: number;
  /** Checks that were given up, by their client or at their deadline, before they were answered. */
  cancelled: number;
  /** Watch streams that are open. */
  streams: number;
  /** Connections that carried at least one of them. */
  connections: number;
  /** The last 1000 calls, oldest first. */
  recent: BackendCall[];
}

/** Time a backend has to start, in milliseconds. */
const START_TIMEOUT_MS = 15_000;

/**
 * A gRPC health server in a process of its own, so that it can be frozen, killed and started again on
 * the same port like any backend.
 *
 * The process takes commands as JSON lines and answers each with a JSON line of the same `id`.
 */
export class HealthBackend implements AsyncDisposable {
  readonly port: number;
  #command: string[];
  #options: HealthBackendOptions;
  #services: Record<string, HealthStatus>;
  #process: LabProcess | undefined;
  #lastId = 0;

  /** @param command the program with its arguments, started from the repository's root */
  constructor(command: string[], options: HealthBackendOptions) {
    this.#command = command;
    this.#options = options;
    this.#services = options.services ?? { "": "SERVING" };
    this.port = options.port ?? freePort();
  }

  get address(): string {
    return `${this.#host}:${this.port}`;
  }

  /** The process' id; undefined while there is none. */
  get pid(): number | undefined {
    return this.#process?.running ? this.#process.pid : undefined;
  }

  /** The request line that asks the agent for this backend. */
  line(options: { ssl?: boolean; authority?: string; service?: string } = {}): string {
    const { ssl = this.#options.tls !== undefined, authority = "backend.test", service } = options;
    const flag = ssl ? "ssl" : "no-ssl";
    const option = service === undefined ? "" : ` service=${service}`;
    return `${this.#host} ${this.port} ${flag} ${authority}${option}\n`;
  }

  /** Starts the process; when this resolves it listens. */
  async start(): Promise<this> {
    if (this.#process) throw new Error("This backend runs already");
    const [program, ...args] = this.#command;
    if (program === undefined) throw new Error("No program was given");
    const address = this.address;
    const config = { ...this.#options, address, services: this.#services };
    const process = new LabProcess(program, {
      args: [...args, JSON.stringify(config)],
      // With this one set, a grpc-js server on Deno sends every root certificate in its handshake.
      withoutEnv: ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"],
    });
    this.#process = process;
    try {
      const isListening = (line: string) => line === '{"event":"listening"}' || undefined;
      await process.stdout.waitFor("the backend to listen", isListening, START_TIMEOUT_MS);
    } catch (error) {
      await this.kill();
      const { code, signal } = await process.exited;
      const output = process.stderr.lines.join("\n");
      throw withSeen(error, `; it ended with ${signal ?? code} and this output:\n${output}`);
    }
    return this;
  }

  /** Sets the status of a service, for restarts too. */
  async setStatus(service: string, status: HealthStatus): Promise<void> {
    this.#services[service] = status;
    await this.#send({ do: "status", service, status });
  }

  /** Answers calls for a service with an RPC status instead, until its status is set again. */
  async setError(service: string, code: number, details = "as the test wants it"): Promise<void> {
    await this.#send({ do: "error", service, code, details });
  }

  /** Holds each answer back for this many milliseconds. */
  async setDelay(delayMs: number): Promise<void> {
    await this.#send({ do: "delay", delayMs });
  }

  /** What it has seen since its start. */
  async report(): Promise<BackendReport> {
    return await this.#send({ do: "report" }) as BackendReport;
  }

  /**
   * Stops the process' execution: its sockets stay open and nobody answers. When this resolves the kernel
   * shows it as stopped.
   */
  async freeze(): Promise<void> {
    const process = this.#running();
    process.signal("SIGSTOP");
    await untilStopped(process.pid);
  }

  /** Ends a freeze; when this resolves the kernel shows the process as running. */
  async thaw(): Promise<void> {
    const process = this.#running();
    process.signal("SIGCONT");
    await untilStopped(process.pid, false);
  }

  /** Kills the process; when this resolves the port is closed. */
  async kill(): Promise<void> {
    await this.#process?.stop(0);
    this.#process = undefined;
  }

  /** Lets the server close politely: calls in flight are answered, connections get a GOAWAY. */
  async close(): Promise<void> {
    const process = this.#running();
    await process.writeLine(JSON.stringify({ id: 0, do: "close" }));
    await within("the backend to close", 5000, process.exited);
    this.#process = undefined;
  }

  /** SIGTERM, at which the server closes politely as at {@linkcode close}. */
  async terminate(): Promise<void> {
    const process = this.#running();
    process.signal("SIGTERM");
    await within("the backend to close", 5000, process.exited);
    this.#process = undefined;
  }

  /** Kills the process and starts it on the same port. */
  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  get #host(): string {
    return this.#options.host ?? "127.0.0.1";
  }

  #running(): LabProcess {
    if (!this.#process) throw new Error("This backend does not run");
    return this.#process;
  }

  async #send(command: Record<string, unknown>): Promise<unknown> {
    const process = this.#running();
    const id = ++this.#lastId;
    const answer = process.stdout.waitFor(`the backend to ${command.do}`, (line) => {
      const value = JSON.parse(line);
      return value.id === id ? value : undefined;
    });
    await process.writeLine(JSON.stringify({ ...command, id }));
    const { error, result } = await answer;
    if (error !== undefined) throw new Error(`The backend failed: ${error}`);
    return result;
  }
}

/**
 * Starts a backend on grpc-js.
 *
 * @param wrapper a program, with arguments, that sets something up and then becomes the backend by exec
 */
export async function startHealthBackend(
  options: HealthBackendOptions = {},
  wrapper: string[] = [],
): Promise<HealthBackend> {
  const program = `${ROOT}tests/lab/backends/libraries/health_backend_process.ts`;
  const command = [...wrapper, Deno.execPath(), "run", "--allow-all", program];
  return await new HealthBackend(command, options).start();
}
