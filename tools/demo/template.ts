import { setTimeout as pause } from "node:timers/promises";
import { startAgent } from "../../tests/lab/agent/agent_process.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../../tests/lab/backends/libraries/health_backend.ts";
import { Haproxy, type ServerRow } from "../../tests/lab/haproxy/haproxy.ts";
import { freePort } from "../../tests/lab/machine/free_port.ts";
import { DemoNameServer } from "./name_server.ts";
import {
  SERVICE_NAME,
  templateConfiguration,
  type TemplatePorts,
} from "./template_configuration.ts";
import { table } from "./view.ts";

/** Something that happens, and which servers HAProxy must have afterwards. */
interface Act {
  title: string;
  happens(stage: TemplateStage): Promise<void>;
  /** How many servers HAProxy has by then, and how many of them are UP; the others the agent has refused. */
  servers: number;
  up: number;
}

const ACTS: Act[] = [
  {
    title: "Two servers serve, and DNS lists them",
    happens: (stage) => stage.list(2),
    servers: 2,
    up: 2,
  },
  {
    title: "Two more start, and DNS lists all four; the new ones do not serve yet",
    happens: (stage) => stage.list(4),
    servers: 4,
    up: 2,
  },
  {
    title: "The new servers serve",
    happens: (stage) => stage.setNewServers("SERVING"),
    servers: 4,
    up: 4,
  },
  {
    title: "DNS lists two servers again",
    happens: (stage) => stage.list(2),
    servers: 2,
    up: 2,
  },
];

/** Milliseconds that HAProxy has to see an act, and for which it must then stay so. */
const ACT_TIMEOUT_MS = 8000;
const HOLD_MS = 1500;

/** Four gRPC servers, a name server, the agent, and an HAProxy that finds the servers by the name server. */
export class TemplateStage implements AsyncDisposable {
  readonly configuration: string;
  readonly statisticsPort: number;

  private constructor(
    private readonly parts: AsyncDisposableStack,
    private readonly haproxy: Haproxy,
    private readonly names: DemoNameServer,
    private readonly servers: readonly HealthBackend[],
    ports: TemplatePorts,
    private readonly signal: AbortSignal,
  ) {
    this.configuration = haproxy.configuration;
    this.statisticsPort = ports.statistics;
  }

  /** @param signal ends the start, and each play, early */
  static async start(executable: string, signal: AbortSignal): Promise<TemplateStage> {
    await using parts = new AsyncDisposableStack();
    const ports = {
      agent: freePort(),
      names: freePort(),
      servers: freePort(),
      traffic: freePort(),
      statistics: freePort(),
    };
    const names = parts.use(await DemoNameServer.start(SERVICE_NAME, ports.names));
    parts.use(await startAgent({ port: ports.agent, flags: ["--reply-reason", "true"] }));
    signal.throwIfAborted();
    const servers: HealthBackend[] = [];
    for (const number of [1, 2, 3, 4]) {
      const services = { "": statusAtFirst(number) } as const;
      const host = address(number);
      servers.push(parts.use(await startHealthBackend({ host, port: ports.servers, services })));
      signal.throwIfAborted();
    }
    const haproxy = parts.use(await Haproxy.start(executable, templateConfiguration(ports)));
    return new TemplateStage(parts.move(), haproxy, names, servers, ports, signal);
  }

  /** Has DNS list the first servers; those beyond are as at first again. */
  async list(count: number): Promise<void> {
    this.names.addresses = this.servers.slice(0, count).map((_, index) => address(index + 1));
    if (count < this.servers.length) await this.setNewServers("NOT_SERVING");
  }

  /** Sets what the servers say that are not there from the beginning. */
  async setNewServers(status: "SERVING" | "NOT_SERVING"): Promise<void> {
    for (const server of this.servers.slice(2)) await server.setStatus("", status);
  }

  /**
   * Scales the servers up and down once, and shows after each act how they stand.
   *
   * @returns what was not seen, one line each; empty when everything was
   */
  async play(): Promise<string[]> {
    const missing: string[] = [];
    for (const act of ACTS) {
      const start = performance.now();
      await act.happens(this);
      const seen = await this.#sees(act);
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      console.log(`\n${act.title} (${seen ? "seen" : "NOT seen"} after ${seconds} s):`);
      console.log(serverTable(await this.#rows()).join("\n"));
      if (!seen) missing.push(`${act.title}: ${act.servers} servers, ${act.up} of them UP`);
      else await this.#holds(act, missing);
    }
    return missing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.parts[Symbol.asyncDispose]();
  }

  async #sees(act: Act): Promise<boolean> {
    const end = performance.now() + ACT_TIMEOUT_MS;
    while (performance.now() < end) {
      if (this.#isAs(act, await this.#rows())) return true;
      await pause(50, undefined, { signal: this.signal });
    }
    return false;
  }

  /** A server that is taken in too early would be UP only for a moment. */
  async #holds(act: Act, missing: string[]): Promise<void> {
    const end = performance.now() + HOLD_MS;
    while (performance.now() < end) {
      if (!this.#isAs(act, await this.#rows())) {
        missing.push(`${act.title}: it did not stay so`);
        return;
      }
      await pause(50, undefined, { signal: this.signal });
    }
  }

  #isAs({ servers, up }: Act, rows: ServerRow[]): boolean {
    const refused = rows.filter(({ up, fields }) => !up && fields.check_status?.endsWith("L7STS"));
    return rows.length === servers && rows.filter((row) => row.up).length === up &&
      refused.length === servers - up;
  }

  /** The servers that have an address. */
  async #rows(): Promise<ServerRow[]> {
    return (await this.haproxy.stats("grpc")).filter(({ fields }) => fields.addr);
  }
}

function address(number: number): string {
  return `127.0.4.${number}`;
}

function statusAtFirst(number: number): "SERVING" | "NOT_SERVING" {
  return number <= 2 ? "SERVING" : "NOT_SERVING";
}

function serverTable(rows: ServerRow[]): string[] {
  const heading = ["server", "address", "status", "check_status", "last_chk", "since"];
  return table(heading, rows, ({ server, status, lastChange, fields }) => [
    server,
    fields.addr ?? "",
    status,
    fields.check_status ?? "",
    fields.last_chk ?? "",
    `${lastChange} s`,
  ]);
}
