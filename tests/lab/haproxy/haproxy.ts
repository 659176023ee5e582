import { join } from "node:path";
import { LabProcess } from "../machine/lab_process.ts";
import { eventually, withSeen } from "../testing/eventually.ts";

/** One server of a backend, as HAProxy's own statistics show it. */
export interface ServerRow {
  server: string;
  /** `UP`, `DOWN`, `DOWN (agent)`, `DRAIN (agent)`, `MAINT`, or `no check`: up, by the agent alone. */
  status: string;
  /** Whether the status is one of those of a server that gets traffic. */
  up: boolean;
  /** How the last agent check ended: `L7OK`, `L7STS` (said down), `L4CON` ...; "" before the first. */
  agentStatus: string;
  /** The agent's words, such as `via agent : up`; "" while it is being asked. */
  lastAgent: string;
  /** Whether the agent is being asked at the moment; `agentStatus` is then that of the time before. */
  asking: boolean;
  /** Seconds since the status changed, whole. */
  lastChange: number;
  /** Every statistic that HAProxy has of the server, by its name in `show stat`. */
  fields: Record<string, string>;
}

/** What a server should look like: the members looked at, or a question about the row. */
export type ExpectedServer = Partial<ServerRow> | ((row: ServerRow) => boolean);

/** How an HAProxy runs. */
export interface HaproxyOptions {
  /** Whether a master process has the worker reload its file, and listens at `master.sock`. @default {false} */
  masterWorker?: boolean;
}

/** A real HAProxy with a folder of its own and an admin socket; it never outlives its owner. */
export class Haproxy implements AsyncDisposable {
  /** The whole configuration, with the admin socket's section in front. */
  readonly configuration: string;
  /** Its folder, with `haproxy.cfg` and its sockets. */
  readonly folder: string;
  #process: LabProcess;

  private constructor(dir: string, configuration: string, process: LabProcess) {
    this.folder = dir;
    this.configuration = configuration;
    this.#process = process;
  }

  /**
   * Starts an HAProxy and waits until it runs.
   *
   * @param executable its path, or its name in PATH
   * @param configuration the sections after `global`
   * @throws {Error} with HAProxy's own words when it refuses the configuration or does not start
   */
  static async start(
    executable: string,
    configuration: string,
    options: HaproxyOptions = {},
  ): Promise<Haproxy> {
    const dir = await Deno.makeTempDir({ prefix: "haproxy-" });
    const text =
      `global\n  stats socket ${dir}/admin.sock mode 600 level admin\n\n${configuration}`;
    await Deno.writeTextFile(join(dir, "haproxy.cfg"), text);
    const mode = options.masterWorker ? ["-W", "-S", join(dir, "master.sock")] : ["-db"];
    const args = [...mode, "-f", join(dir, "haproxy.cfg")];
    const process = new LabProcess(executable, { args });
    const haproxy = new Haproxy(dir, text, process);
    try {
      await eventually("HAProxy to start", () => haproxy.#answers(), {
        timeoutMs: START_TIMEOUT_MS,
      });
      return haproxy;
    } catch (error) {
      await haproxy[Symbol.asyncDispose]();
      throw withSeen(error, `; it said:\n${haproxy.log()}\nto:\n${text}`);
    }
  }

  get pid(): number {
    return this.#process.pid;
  }

  /**
   * Gives one command to HAProxy's runtime API.
   *
   * @returns its answer without the blank lines around it
   */
  async runtime(command: string): Promise<string> {
    using connection = await Deno.connect({ transport: "unix", path: `${this.folder}/admin.sock` });
    await connection.write(new TextEncoder().encode(command + "\n"));
    return (await new Response(connection.readable).text()).trim();
  }

  /** The servers of a backend in the order of the configuration. */
  async stats(backend: string): Promise<ServerRow[]> {
    // CSV, since HAProxy's JSON leaves quotation marks in the agent's words as they are.
    const answer = await this.runtime(`show stat ${backend} ${SERVERS_ONLY} -1`);
    const [names = [], ...rows] = answer.replace(/^# /, "").split("\n").map(csvCells);
    return rows.map((cells) =>
      serverRow(Object.fromEntries(names.map((name, index) => [name, cells[index] ?? ""])))
    );
  }

  /**
   * Waits until a server looks as expected, between two questions to the agent.
   *
   * @param timeoutMs milliseconds before it gives up
   * @returns the row that did
   * @throws {Error} with what was seen meanwhile and HAProxy's log when the time is over
   */
  async waitFor(
    backend: string,
    server: string,
    expected: ExpectedServer,
    timeoutMs = 5000,
  ): Promise<ServerRow> {
    const what = `${backend}/${server} to be ${describe(expected)}`;
    const seen: string[] = [];
    const start = performance.now();
    try {
      return await eventually(what, async () => {
        const row = await this.#server(backend, server);
        const look = `${row.status}, agent ${row.agentStatus || "not asked"}, "${row.lastAgent}"`;
        if (!seen.at(-1)?.endsWith(look)) {
          seen.push(`${Math.round(performance.now() - start)} ms: ${look}`);
        }
        return !row.asking && matches(row, expected) ? row : undefined;
      }, { timeoutMs });
    } catch (error) {
      throw withSeen(error, `; seen:\n${seen.join("\n")}\nHAProxy's log:\n${this.log()}`);
    }
  }

  /**
   * Watches that a server looks as expected, from now on for a while.
   *
   * @param durationMs milliseconds; more than two agent-inter, so that answers come in meanwhile
   * @throws {Error} at the first look that differs
   */
  async stays(
    backend: string,
    server: string,
    expected: ExpectedServer,
    durationMs: number,
  ): Promise<void> {
    const end = performance.now() + durationMs;
    await eventually("the watch to end", async () => {
      const row = await this.#server(backend, server);
      if (!row.asking && !matches(row, expected)) {
        throw new Error(
          `${backend}/${server} did not stay ${describe(expected)} but is ${row.status}, ` +
            `agent ${row.agentStatus}, "${row.lastAgent}"; HAProxy's log:\n${this.log()}`,
        );
      }
      return performance.now() > end;
    }, { timeoutMs: 2 * durationMs });
  }

  /** What HAProxy has said so far: its changes of state, its warnings. */
  log(): string {
    return [...this.#process.stdout.lines, ...this.#process.stderr.lines].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop();
    await Deno.remove(this.folder, { recursive: true });
  }

  async #server(backend: string, server: string): Promise<ServerRow> {
    const row = (await this.stats(backend)).find((row) => row.server === server);
    if (!row) throw new Error(`HAProxy has no server ${backend}/${server}`);
    return row;
  }

  async #answers(): Promise<boolean> {
    if (!this.#process.running) throw new Error("HAProxy ended at its start");
    return await this.runtime("show info").then((answer) => answer !== "", () => false);
  }
}

/** Time HAProxy has to start, in milliseconds. */
const START_TIMEOUT_MS = 10_000;

/** The `type` of `show stat`: 1 frontends, 2 backends, 4 servers. */
const SERVERS_ONLY = 4;

function csvCells(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)]
    .map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "");
}

function serverRow(fields: Record<string, string>): ServerRow {
  const { svname = "", status = "", agent_status = "", last_agt = "", lastchg } = fields;
  return {
    server: svname,
    status,
    up: status.startsWith("UP") || status === "no check",
    agentStatus: agent_status.replace(/^\* /, ""),
    lastAgent: last_agt,
    asking: agent_status.startsWith("* "),
    lastChange: Number(lastchg),
    fields,
  };
}

function matches(row: ServerRow, expected: ExpectedServer): boolean {
  if (typeof expected === "function") return expected(row);
  return Object.entries(expected).every(([key, value]) => row[key as keyof ServerRow] === value);
}

function describe(expected: ExpectedServer): string {
  return typeof expected === "function" ? `${expected}` : JSON.stringify(expected);
}
