import { eventually, withSeen } from "../../testing/eventually.ts";
import { freePort } from "../free_port.ts";
import type { DockerEngine, DockerOptions } from "./docker_engine.ts";
import { makeBases, makeHaproxyImage } from "./images.ts";

/** The services of deploy/docker/compose.yaml, running. */
export class Composed implements AsyncDisposable {
  #engine: DockerEngine;
  #project: string[];
  #options: DockerOptions;
  #statistics: string;

  private constructor(engine: DockerEngine, env: Record<string, string>) {
    this.#engine = engine;
    const name = `agent-test-${env.STATISTICS_PORT}`;
    this.#project = ["-f", "deploy/docker/compose.yaml", "-p", name];
    this.#options = { env };
    this.#statistics = `http://127.0.0.1:${env.STATISTICS_PORT}/;csv`;
  }

  static async start(engine: DockerEngine): Promise<Composed> {
    const composed = new Composed(engine, {
      ...await makeBases(engine),
      AGENT_TARGET: "bundle",
      BUILD_NETWORK: "host",
      HAPROXY_IMAGE: await makeHaproxyImage(engine),
      SUBNET: `${engine.network}.1.0/24`,
      AGENT_ADDRESS: `${engine.network}.1.250`,
      GRPC_PORT: `${freePort()}`,
      METRICS_PORT: `${freePort()}`,
      STATISTICS_PORT: `${freePort()}`,
    });
    try {
      // At once, classic builders would make the same image twice.
      await composed.run("build");
      await composed.run("up", "-d");
      return composed;
    } catch (error) {
      const log = await composed.run("logs").catch(String);
      await composed[Symbol.asyncDispose]();
      throw withSeen(error, `\n${log}`);
    }
  }

  run(...args: string[]): Promise<string> {
    return this.#engine.compose([...this.#project, ...args], this.#options);
  }

  /** Waits for HAProxy's word on a server; gives its row of the statistics. */
  async waitFor(server: string, status: string, agentStatus: string) {
    let seen = "nothing";
    try {
      return await eventually(`${server} to be ${status} by ${agentStatus}`, async () => {
        const row = (await this.#rows()).find(({ svname }) => svname === server);
        seen = `${row?.status}, agent ${row?.agent_status}, "${row?.last_agt}"`;
        // While a check is under way its status has a star in front.
        const isSo = row?.status?.startsWith(status) && row.agent_status === agentStatus;
        return isSo ? row : undefined;
      }, { timeoutMs: 40_000, everyMs: 100 });
    } catch (error) {
      throw withSeen(error, `; it is ${seen}\n${await this.run("logs")}`);
    }
  }

  async #rows(): Promise<Record<string, string>[]> {
    using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    const response = await fetch(this.#statistics, { client }).catch(() => undefined);
    if (response === undefined) return [];
    const [names = [], ...rows] = (await response.text()).replace(/^# /, "").trim().split("\n")
      .map((line) => line.split(",").map((cell) => cell.replaceAll('"', "")));
    return rows.map((row) =>
      Object.fromEntries(names.map((name, index) => [name, row[index] ?? ""]))
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run("down", "-v", "--remove-orphans");
  }
}
