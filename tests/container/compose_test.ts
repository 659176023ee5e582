import assert from "node:assert/strict";
import type { DockerEngine, DockerOptions } from "../lab/machine/docker/docker_engine.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { makeBases, makeHaproxyImage, testWithDocker } from "./images.ts";

testWithDocker(
  "the compose file brings up HAProxy, which follows its backends through the agent",
  async (engine) => {
    await using composed = await Composed.start(engine);
    await composed.waitFor("backend1", "UP", "L7OK");
    await composed.waitFor("backend2", "UP", "L7OK");

    await composed.run("kill", "-s", "USR1", "backend1");
    const failed = await composed.waitFor("backend1", "DOWN", "L7STS");
    assert.match(failed.last_agt ?? "", /NOT_SERVING/);
    await composed.waitFor("backend2", "UP", "L7OK");
    await composed.run("kill", "-s", "USR2", "backend1");
    await composed.waitFor("backend1", "UP", "L7OK");

    await composed.run("stop", "-t", "5", "backend2");
    await composed.waitFor("backend2", "DOWN", "L7STS");
    await composed.waitFor("backend1", "UP", "L7OK");
    await composed.run("start", "backend2");
    await composed.waitFor("backend2", "UP", "L7OK");

    // The agent comes back at the address that HAProxy knows, whoever has come meanwhile.
    await composed.run("stop", "agent");
    await composed.run("run", "-d", "--no-deps", "backend1");
    await composed.run("start", "agent");
    await composed.run("kill", "-s", "USR1", "backend2");
    await composed.waitFor("backend2", "DOWN", "L7STS");
  },
);

testWithDocker("what the compose file runs can write nowhere and has no rights", async (engine) => {
  await using composed = await Composed.start(engine);
  const ids = (await composed.run("ps", "-q")).split("\n");
  assert.equal(ids.length, 4);
  for (const id of ids) {
    const [{ HostConfig, Config }] = JSON.parse(await engine.docker(["inspect", id]));
    assert.equal(HostConfig.ReadonlyRootfs, true);
    assert.deepEqual(HostConfig.CapDrop, ["ALL"]);
    assert.deepEqual(HostConfig.SecurityOpt, ["no-new-privileges:true"]);
    assert.ok(HostConfig.Memory > 0);
    assert.notEqual(Config.User, "");
    const bindings = Object.values(HostConfig.PortBindings ?? {}) as { HostIp: string }[][];
    for (const { HostIp } of bindings.flat()) assert.equal(HostIp, "127.0.0.1");
  }
});

/** The compose file, up. */
class Composed implements AsyncDisposable {
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
      throw new Error(`${(error as Error).message}\n${log}`);
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
      throw new Error(`${(error as Error).message}; it is ${seen}\n${await this.run("logs")}`);
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
