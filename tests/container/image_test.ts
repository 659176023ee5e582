import assert from "node:assert/strict";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { AgentContainer, HARDENED, machineAddress } from "../lab/machine/docker/agent_container.ts";
import { AGENT, buildAgent, testWithDocker } from "../lab/machine/docker/images.ts";
import { eventually } from "../lab/testing/eventually.ts";

testWithDocker("the image is built of a clean checkout and says its version", async (engine) => {
  await buildAgent(engine);
  const version = await engine.docker(["run", "--rm", ...HARDENED, AGENT, "--version"]);
  assert.match(version, /^haproxy-grpc-agent \d+\.\d+\.\d+$/);
});

testWithDocker("the image carries CA certificates", async (engine) => {
  await buildAgent(engine);
  const { stderr } = await engine.try(["run", "--rm", ...HARDENED, AGENT, "--check-config"]);
  // What it warns of: that whoever reaches it may ask for anything.
  assert.match(stderr, /server_bind_address: /);
  assert.doesNotMatch(stderr, /CA certificates/);
});

testWithDocker(
  "its agent is no root, has no capability, can gain none, and is healthy with a root that cannot be written to",
  async (engine) => {
    await buildAgent(engine);
    await using agent = await AgentContainer.start(engine);
    const { Pid, Health } = await agent.state();
    assert.equal(Health.Log.at(-1)?.Output.trim(), "ready");
    const status = await Deno.readTextFile(`/proc/${Pid}/status`);
    const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, "m").exec(status)?.[1];
    assert.equal(field("Uid"), "65532\t65532\t65532\t65532");
    assert.equal(field("Gid"), "65532\t65532\t65532\t65532");
    for (const set of ["CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
      assert.equal(Number(`0x${field(set)}`), 0, set);
    }
    assert.equal(field("NoNewPrivs"), "1");
    const [root = ""] = (await Deno.readTextFile(`/proc/${Pid}/mounts`)).split("\n");
    assert.match(root, /^\S+ \/ \S+ ro,/);
  },
);

testWithDocker("its health check fails when the agent does not answer", async (engine) => {
  await buildAgent(engine);
  await using agent = await AgentContainer.start(engine, ["--health-retries=1"]);
  const { Pid } = await agent.state();
  Deno.kill(Pid, "SIGSTOP");
  await eventually(
    "the container to be unhealthy",
    async () => (await agent.state()).Health.Status === "unhealthy",
    { timeoutMs: 30_000, everyMs: 200 },
  );
  Deno.kill(Pid, "SIGCONT");
  await eventually(
    "the container to be healthy again",
    async () => (await agent.state()).Health.Status === "healthy",
    { timeoutMs: 30_000, everyMs: 200 },
  );
});

testWithDocker(
  "a check through its published port, and by hand, is up, and down for a stopped backend",
  async (engine) => {
    await buildAgent(engine);
    await using backend = await startHealthBackend({ host: await machineAddress(engine) });
    await using agent = await AgentContainer.start(engine, [], ["--reply-reason", "true"]);
    assert.equal(await agent.ask(backend.line()), "up\n");
    const byHand = ["haproxy-grpc-agent", "check", ...backend.line().trimEnd().split(" ")];
    assert.match(await engine.docker(["exec", agent.id, ...byHand]), /^reply +up$/m);
    await backend.setStatus("", "NOT_SERVING");
    assert.equal(await agent.ask(backend.line()), "down #NOT_SERVING\n");
    await backend.setStatus("", "SERVING");
    await backend.kill();
    assert.match(await agent.ask(backend.line()), /^down #/);
    await backend.restart();
    assert.equal(await agent.ask(backend.line()), "up\n");
  },
);

testWithDocker("docker stop ends it with 0, and a check in flight is answered", async (engine) => {
  await buildAgent(engine);
  const host = await machineAddress(engine);
  await using backend = await startHealthBackend({ host, delayMs: 1000 });
  await using agent = await AgentContainer.start(engine);
  using client = await agent.connect();
  await client.write(backend.line());
  await eventually("the check to be under way", async () => (await backend.report()).checks === 1);
  const start = performance.now();
  const stopped = engine.docker(["stop", "--time", "30", agent.id]);
  assert.equal(await client.readLine(), "up\n");
  await stopped;
  const ms = performance.now() - start;
  const { Running, ExitCode } = await agent.state();
  assert.deepEqual({ Running, ExitCode }, { Running: false, ExitCode: 0 });
  // shutdown_timeout_ms, and what the engine takes.
  assert.ok(ms < 2500 + 2000, `It took ${ms.toFixed(0)} ms`);
  assert.match(await agent.log(), /"Stopped"/);
});
