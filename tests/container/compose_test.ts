import assert from "node:assert/strict";
import { Composed } from "../lab/machine/docker/composed.ts";
import { testWithDocker } from "../lab/machine/docker/images.ts";

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
