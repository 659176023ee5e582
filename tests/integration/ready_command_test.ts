import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { runAgent, type RunResult, toFullDisk } from "../lab/agent/run_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { refusing, silent } from "../lab/backends/peers/tcp_peers.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { eventually } from "../lab/testing/eventually.ts";

async function askReady(flags: string[], env?: Record<string, string>): Promise<RunResult> {
  return await runAgent(["ready", ...flags], env);
}

Deno.test("ready says so of an agent that takes checks, found by the same settings", async () => {
  const [port, metricsPort] = [freePort(), freePort()];
  const env = {
    HAPROXY_AGENT_SERVER_PORT: `${port}`,
    HAPROXY_AGENT_SERVER_BIND: "127.0.0.1",
    HAPROXY_AGENT_METRICS_PORT: `${metricsPort}`,
    HAPROXY_AGENT_METRICS_BIND: "0.0.0.0",
  };
  await using agent = await startAgent({ addressFlags: false, port, metricsPort, env });
  const ready = { code: 0, stdout: ["ready"], stderr: [] };
  assert.deepEqual(await askReady([], env), ready);
  assert.deepEqual(await askReady(["--metrics-port", `${metricsPort}`]), ready);
  const unprinted = await runAgent(["ready"], env, toFullDisk(">"));
  assert.equal(unprinted.code, 0);
  assert.match(unprinted.stderr.join("\n"), /^haproxy-grpc-agent: stdout cannot be written: .*$/);
  assert.deepEqual(agent.faults(), []);
});

Deno.test("ready tells an agent that stops from one that takes checks", async () => {
  await using backend = await startHealthBackend({ delayMs: 3000 });
  const flags = ["--grpc-rpc-timeout", "9000", "--check-timeout", "9000"];
  await using agent = await startAgent({ flags: [...flags, "--shutdown-timeout", "9000"] });
  using client = await agent.connect();
  await client.write(backend.line());
  await eventually("the check to reach it", async () => (await backend.report()).calls === 1);
  agent.signal("SIGTERM");
  await agent.waitForLog("of the shutdown", ({ message }) => message === "Stopping");
  const { code, stdout } = await askReady(["--metrics-port", `${agent.metricsPort}`]);
  assert.deepEqual({ code, stdout }, {
    code: 1,
    stdout: [`127.0.0.1:${agent.metricsPort}: stopping`],
  });
  assert.equal(await client.readToEnd(), "up\n");
});

Deno.test("ready tells a port that is closed and one that says nothing", async () => {
  await using closed = refusing();
  const refused = await askReady(["--metrics-port", `${closed.port}`]);
  assert.equal(refused.code, 1);
  assert.match(
    refused.stdout.join("\n"),
    new RegExp(`^127.0.0.1:${closed.port}: .*refused.*$`, "i"),
  );

  await using mute = silent();
  const late = await askReady(["--metrics-port", `${mute.port}`]);
  assert.deepEqual({ code: late.code, stdout: late.stdout }, {
    code: 1,
    stdout: [`127.0.0.1:${mute.port}: no answer within 2000 ms`],
  });
});

Deno.test("without metrics, ready is an agent port that accepts", async () => {
  await using agent = await startAgent({ flags: ["--metrics-enabled", "false"], until: "port" });
  const flags = ["--metrics-enabled", "false", "--server-bind", "127.0.0.1"];
  const ready = await askReady([...flags, "--server-port", `${agent.port}`]);
  assert.deepEqual(ready, { code: 0, stdout: ["ready"], stderr: [] });
  await using closed = refusing();
  const refused = await askReady([...flags, "--server-port", `${closed.port}`]);
  assert.equal(refused.code, 1);
  assert.match(refused.stdout.join("\n"), /refused/i);
});

Deno.test("ready with more words or a wrong setting is wrong usage, not an agent that is not ready", async () => {
  const more = await askReady(["now"]);
  assert.equal(more.code, 2);
  assert.match(more.stderr[0] ?? "", /now: unexpected argument/);
  const wrong = await askReady([], { HAPROXY_AGENT_METRICS_PORT: "none" });
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr[0] ?? "", /metrics_port/);
});
