import { LineClient } from "../../clients/line_client.ts";
import { eventually, withSeen } from "../../testing/eventually.ts";
import { freePort } from "../free_port.ts";
import type { DockerEngine } from "./docker_engine.ts";
import { AGENT } from "./images.ts";

/** As the documents have an agent run: it may write nowhere and has no rights. */
export const HARDENED = [
  "--read-only",
  "--cap-drop=ALL",
  "--security-opt=no-new-privileges",
] as const;

/** A container on its way up may wait for a busy machine, in milliseconds. */
const START_TIMEOUT_MS = 60_000;

/** What `docker inspect` says of a container. */
export interface ContainerState {
  Pid: number;
  Running: boolean;
  ExitCode: number;
  OOMKilled: boolean;
  Health: { Status: string; Log: { Output: string }[] };
}

/** A running container of the agent, with its port published on loopback. */
export class AgentContainer implements AsyncDisposable {
  readonly id: string;
  readonly port: number;
  #engine: DockerEngine;

  private constructor(engine: DockerEngine, id: string, port: number) {
    this.#engine = engine;
    this.id = id;
    this.port = port;
  }

  /**
   * Starts a container and waits for its health check to say that it is healthy.
   *
   * @param options further options of `docker run`
   * @param flags the agent's flags
   * @throws {Error} with the agent's log when it ends, or does not get healthy in time
   */
  static async start(
    engine: DockerEngine,
    options: string[] = [],
    flags: string[] = [],
  ): Promise<AgentContainer> {
    const port = freePort();
    const id = await engine.docker([
      ...["run", "--detach", ...HARDENED, "--publish", `127.0.0.1:${port}:5555`],
      ...["--health-interval=1s", ...options, AGENT, ...flags],
    ]);
    const container = new AgentContainer(engine, id, port);
    try {
      await eventually("the container to be healthy", async () => {
        const { Running, Health } = await container.state();
        if (!Running) throw new Error("The container ended at its start");
        return Health.Status === "healthy";
      }, { timeoutMs: START_TIMEOUT_MS, everyMs: 200 });
      return container;
    } catch (error) {
      const log = await container.log();
      await container[Symbol.asyncDispose]();
      throw withSeen(error, `; its log:\n${log}`);
    }
  }

  async state(): Promise<ContainerState> {
    return JSON.parse(
      await this.#engine.docker(["inspect", "--format", "{{json .State}}", this.id]),
    );
  }

  async log(): Promise<string> {
    const { stdout, stderr } = await this.#engine.try(["logs", this.id]);
    return stdout + stderr;
  }

  /** Opens a connection to the agent. */
  connect(): Promise<LineClient> {
    return LineClient.open(this.port);
  }

  /** Asks once over a connection of its own. */
  async ask(line: string): Promise<string> {
    using client = await this.connect();
    return await client.ask(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine.docker(["rm", "--force", "--volumes", this.id]);
  }
}

/** The machine's address for containers that are in the default network. */
export async function machineAddress(engine: DockerEngine): Promise<string> {
  const format = "{{(index .IPAM.Config 0).Gateway}}|{{(index .IPAM.Config 0).Subnet}}";
  const [gateway = "", subnet = ""] =
    (await engine.docker(["network", "inspect", "--format", format, "bridge"])).split("|");
  // A bridge that was not made by Docker has an address of which this inspection knows nothing.
  return /^[\d.]+$/.test(gateway) ? gateway : subnet.replace(/\d+\/\d+$/, "1");
}
