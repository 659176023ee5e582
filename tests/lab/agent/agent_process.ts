import { runArguments } from "../../../tools/packaging/run_arguments.ts";
import { LineClient } from "../clients/line_client.ts";
import { freePort } from "../machine/free_port.ts";
import { LabProcess } from "../machine/lab_process.ts";
import { processorMs, untilStopped } from "../machine/process_state.ts";
import { eventually, withSeen } from "../testing/eventually.ts";
import { ROOT } from "../testing/repository.ts";
import { type Metrics, parseMetrics } from "./metrics_text.ts";

/** How the agent is started. */
export interface StartAgentOptions {
  /** Flags after those for addresses and log format. @default {[]} */
  flags?: string[];
  /** Environment variables on top of this process' own. @default {{}} */
  env?: Record<string, string>;
  /** The agent's port. @default {a free one} */
  port?: number;
  /** The port for metrics and status. @default {a free one} */
  metricsPort?: number;
  /**
   * What must hold before the agent counts as started: "ready" is 200 from `/readyz`, "port" only an
   * agent port that accepts, "nothing" lets a test watch it fail.
   *
   * @default {"ready"}
   */
  until?: "ready" | "port" | "nothing";
  /**
   * Whether addresses, ports and the log's form are given by flags; without them a test gives them by
   * another source.
   *
   * @default {true}
   */
  addressFlags?: boolean;
  /** The folder that it may write to, instead of those of deno.json; not with AGENT. */
  mayWrite?: string;
  /** A program, with arguments, that sets something up and then becomes the agent by exec. */
  wrapper?: string[];
  /** A module that is loaded into the process before the agent; not with AGENT. */
  preload?: string;
}

/** One line of the agent's log. */
export interface LogEntry {
  timestamp: string;
  level: string;
  component: string;
  message: string;
  "trace_id"?: string;
  [field: string]: unknown;
}

const EXECUTABLE = Deno.env.get("AGENT");

/** The program to test, with its arguments. */
export const AGENT_COMMAND: readonly string[] = EXECUTABLE ? [EXECUTABLE] : bundleCommand();

/** As `dist/bundle/haproxy-grpc-agent` runs the bundle: what is tested is what ships. */
function bundleCommand(mayWrite?: string, preload?: string): string[] {
  return [
    Deno.execPath(),
    ...runArguments(mayWrite === undefined ? undefined : [mayWrite]),
    ...preload === undefined ? [] : ["--preload", preload],
    bundle(),
  ];
}

/** @throws {Error} when the bundle is not that of the sources */
function bundle(): string {
  const path = `${ROOT}dist/bundle/haproxy-grpc-agent.mjs`;
  if (!(newest(path) > newest(`${ROOT}src`))) {
    throw new Error("The bundle is missing or older than the sources: deno task bundle");
  }
  return path;
}

/** When a file, or the newest in a folder, was written, in milliseconds; NaN for none. */
function newest(path: string): number {
  try {
    const { isDirectory, mtime } = Deno.statSync(path);
    if (!isDirectory) return mtime?.getTime() ?? NaN;
    return Math.max(...Array.from(Deno.readDirSync(path), ({ name }) => newest(`${path}/${name}`)));
  } catch {
    return NaN;
  }
}

/** The agent's variables in this process' environment, which an agent under test must not get. */
export function agentVariables(): string[] {
  return Object.keys(Deno.env.toObject()).filter((name) => name.startsWith("HAPROXY_AGENT_"));
}

/** What the agent logs last when a new configuration is in force. */
export const RELOADED = "Configuration read again";

/** Flags for deadlines that no test reaches, so that it is something else that ends a check. */
export const LONG_DEADLINES: readonly string[] = [
  ...["--grpc-connect-timeout", "20000"],
  ...["--grpc-rpc-timeout", "20000"],
  ...["--check-timeout", "20000"],
];

/** Flags for about half the default deadlines, in the same proportions, which leaves tests room on a busy machine. */
export const SHORT_DEADLINES: readonly string[] = [
  ...["--grpc-connect-timeout", "500"],
  ...["--grpc-rpc-timeout", "750"],
  ...["--check-timeout", "1000"],
];

/** Time an agent has to start, in milliseconds. */
const START_TIMEOUT_MS = 15_000;

/** A database of Deno's caches, and the files that SQLite keeps beside it. */
const DENO_CACHE = /_cache_v\d+(-wal|-shm)?$/;

/**
 * Starts the real agent on loopback: the bundle, or the executable named by the environment variable
 * AGENT, so that the same tests judge a build.
 *
 * @throws {Error} with the agent's log when it ends early or is not ready in time
 */
export async function startAgent(options: StartAgentOptions = {}): Promise<AgentProcess> {
  const agent = new AgentProcess(options);
  try {
    await agent.ready(options.until ?? "ready");
    return agent;
  } catch (error) {
    await agent.stop(0);
    throw error;
  }
}

/** A running agent: ask it, read its log, its metrics and its process. */
export class AgentProcess implements AsyncDisposable {
  readonly port: number;
  readonly metricsPort: number;
  /** The log so far. */
  readonly logs: LogEntry[] = [];
  /** Lines of stderr that are no log entries. */
  readonly otherLines: string[] = [];
  #process: LabProcess;

  /** Starts the process and does not wait for it; see {@linkcode startAgent}. */
  constructor(options: StartAgentOptions) {
    this.port = options.port ?? freePort();
    this.metricsPort = options.metricsPort ?? freePort();
    const addressFlags = [
      ...["--server-bind", "127.0.0.1", "--server-port", `${this.port}`],
      ...["--metrics-bind", "127.0.0.1", "--metrics-port", `${this.metricsPort}`],
      ...["--log-format", "json"],
    ];
    const flags = [...options.addressFlags ?? true ? addressFlags : [], ...options.flags ?? []];
    const { mayWrite, preload } = options;
    const command = mayWrite === undefined && preload === undefined
      ? AGENT_COMMAND
      : bundleCommand(mayWrite, preload);
    const [program = "", ...args] = [...options.wrapper ?? [], ...command, ...flags];
    this.#process = new LabProcess(program, {
      args,
      env: { NO_COLOR: "1", ...options.env },
      withoutEnv: agentVariables(),
    });
    this.#process.stderr.onLine((line) => {
      const entry = parseEntry(line);
      if (entry) this.logs.push(entry);
      else if (!OLD_RUNTIME_WARNING.test(line)) this.otherLines.push(line);
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Settles when the agent is gone and its log is complete. */
  get exited(): Promise<Deno.CommandStatus> {
    return this.#process.exited;
  }

  /** Whether the agent has not been seen to end. */
  get running(): boolean {
    return this.#process.running;
  }

  /** All of stderr, one line an element. */
  get stderr(): readonly string[] {
    return this.#process.stderr.lines;
  }

  /** Waits for the start as {@linkcode StartAgentOptions.until} says. */
  async ready(until: "ready" | "port" | "nothing"): Promise<void> {
    if (until === "nothing") return;
    try {
      await eventually("the agent to start", () => {
        if (!this.running) throw new Error("The agent ended at its start");
        return until === "ready" ? this.#isReady() : this.#accepts();
      }, { timeoutMs: START_TIMEOUT_MS });
    } catch (error) {
      throw withSeen(error, `; its log:\n${this.stderr.join("\n")}`);
    }
  }

  /** Opens a connection to the agent. */
  connect(): Promise<LineClient> {
    return LineClient.open(this.port);
  }

  /**
   * Asks once over a connection of its own.
   *
   * @param line sent as it is; the line end is the caller's
   * @returns the answer with its line end, or "" when the agent closed without a byte
   */
  async ask(line: string, timeoutMs?: number): Promise<string> {
    using client = await this.connect();
    return await client.ask(line, timeoutMs);
  }

  /** Asks once and measures: the time runs from before the connection is made. */
  async askTimed(line: string): Promise<{ reply: string; ms: number }> {
    const start = performance.now();
    const reply = await this.ask(line);
    return { reply, ms: performance.now() - start };
  }

  /** GET from the metrics port. */
  async get(path: string): Promise<{ status: number; body: string; headers: Headers }> {
    // A connection kept for the next request would be one descriptor of the agent's.
    using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    const response = await fetch(`http://127.0.0.1:${this.metricsPort}${path}`, { client });
    return { status: response.status, body: await response.text(), headers: response.headers };
  }

  /** Scrapes the agent. */
  async metrics(): Promise<Metrics> {
    return parseMetrics((await this.get("/metrics")).body);
  }

  /** Waits for a log entry, past ones included. */
  async waitForLog(
    what: string,
    matches: (entry: LogEntry) => boolean,
    timeoutMs?: number,
  ): Promise<LogEntry> {
    return await this.#process.stderr.waitFor(`the log entry ${what}`, (line) => {
      const entry = parseEntry(line);
      return entry && matches(entry) ? entry : undefined;
    }, timeoutMs);
  }

  /** The number of open file descriptors, without those of Deno's caches, which are opened at any time. */
  fds(): number {
    return this.openFiles().filter((target) => !DENO_CACHE.test(target)).length;
  }

  /** What its descriptors lead to. */
  openFiles(): string[] {
    const folder = `/proc/${this.pid}/fd`;
    return [...Deno.readDirSync(folder)].flatMap(({ name }) => {
      try {
        return [Deno.readLinkSync(`${folder}/${name}`)];
      } catch {
        return []; // closed meanwhile
      }
    });
  }

  /** The number of sockets that lead to a port, connected or still connecting. */
  socketsTo(port: number): number {
    const { pid } = this;
    const open = new Set(
      this.openFiles().map((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1]),
    );
    const end = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
    return ["tcp", "tcp6"]
      .flatMap((table) => Deno.readTextFileSync(`/proc/${pid}/net/${table}`).split("\n"))
      .map((row) => row.trim().split(/\s+/))
      // The third field is the remote address, the tenth the number of the socket.
      .filter((fields) => fields[2]?.endsWith(end) && open.has(fields[9])).length;
  }

  /** The processor time used so far, in milliseconds. */
  cpuMs(): number {
    return processorMs(this.pid);
  }

  /** The memory in use, in bytes. */
  residentBytes(): number {
    const status = Deno.readTextFileSync(`/proc/${this.pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  signal(signal: Deno.Signal): void {
    this.#process.signal(signal);
  }

  /** Stops its execution until SIGCONT; when this resolves the kernel shows it as stopped. */
  async freeze(): Promise<void> {
    this.signal("SIGSTOP");
    await untilStopped(this.pid);
  }

  /**
   * Has it read its configuration again, and waits for the last message about that.
   *
   * @returns all log entries about it
   */
  async reload(last = RELOADED): Promise<LogEntry[]> {
    const before = this.logs.length;
    this.signal("SIGHUP");
    await eventually(`"${last}"`, () => this.logs.slice(before).some((e) => e.message === last));
    return this.logs.slice(before).filter(({ component }) => component === "config");
  }

  /** SIGTERM, then SIGKILL when it lives on after `graceMs` milliseconds. */
  stop(graceMs?: number): Promise<Deno.CommandStatus> {
    return this.#process.stop(graceMs);
  }

  /**
   * Lines of the log that point at a bug of the agent: those that are no log entries, stack traces, uncaught errors,
   * errors of the program itself. A test asserts that there are none.
   */
  faults(): string[] {
    return this.stderr.filter(pointsAtBug);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await this.get("/readyz")).status === 200;
    } catch {
      return false;
    }
  }

  async #accepts(): Promise<boolean> {
    try {
      (await this.connect()).close();
      return true;
    } catch {
      return false;
    }
  }
}

/** What Deno 2.6, with which executables may be made for a trial, says at the first look-up of a name. */
const OLD_RUNTIME_WARNING = /^\(node:\d+\) \[DEP0040\] DeprecationWarning: The `punycode`/;

/** Whether a line of the log is what {@linkcode AgentProcess.faults} looks for. */
export function pointsAtBug(line: string): boolean {
  const entry = parseEntry(line);
  if (!entry) return line.trim() !== "" && !OLD_RUNTIME_WARNING.test(line);
  return /uncaught|unhandled|panic|\n\s+at /i.test(Object.values(entry).join("\n")) ||
    entry.stack !== undefined || (entry.level === "error" && entry.component === "main");
}

function parseEntry(line: string): LogEntry | undefined {
  try {
    const value = JSON.parse(line);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
