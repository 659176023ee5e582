// What each setting does, seen from outside, for those that have no test of their own elsewhere.

import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { LONG_DEADLINES } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { silent } from "../lab/backends/peers/tcp_peers.ts";
import { askFrom } from "../lab/clients/ask.ts";
import { LineClient } from "../lab/clients/line_client.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { eventually, within } from "../lab/testing/eventually.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

Deno.test("server_bind_address and metrics_bind_address bind nothing but what they say", async () => {
  await using directory = await TempDirectory.create();
  const [port, metricsPort] = [freePort(), freePort()];
  const config = await directory.write(
    "agent.toml",
    'server_bind_address = ["127.0.0.1", "127.0.0.3", "::1"]\nmetrics_bind_address = "127.0.0.1"\n',
  );
  const ports = ["--server-port", `${port}`, "--metrics-port", `${metricsPort}`];
  const options = { addressFlags: false, port, metricsPort, flags: ["-c", config, ...ports] };
  await withAgent(options, async () => {
    const line = "nonsense\n";
    assert.equal(await askFrom("127.0.0.1", { port, line }), "down\n");
    assert.equal(await askFrom("127.0.0.1", { to: "127.0.0.3", port, line }), "down\n");
    assert.equal(await askFrom("::1", { to: "::1", port, line }), "down\n");
    for (const [hostname, closed] of [["127.0.0.2", port], ["127.0.0.2", metricsPort]] as const) {
      await assert.rejects(
        Deno.connect({ hostname, port: closed }),
        Deno.errors.ConnectionRefused,
      );
    }
  });
});

Deno.test("0.0.0.0 and :: may both be listed, though :: includes 0.0.0.0", async () => {
  await using directory = await TempDirectory.create();
  const [port, metricsPort] = [freePort(), freePort()];
  const config = await directory.write("agent.toml", 'server_bind_address = ["0.0.0.0", "::"]\n');
  const ports = ["--server-port", `${port}`, "--metrics-port", `${metricsPort}`];
  const options = { addressFlags: false, port, metricsPort, flags: ["-c", config, ...ports] };
  await withAgent(options, async () => {
    for (const address of ["127.0.0.1", "::1"]) {
      assert.equal(await askFrom(address, { to: address, port, line: "nonsense\n" }), "down\n");
    }
  });
});

Deno.test("one of several addresses that is taken ends the agent with 1, naming it", async () => {
  await using directory = await TempDirectory.create();
  const port = freePort();
  using _taken = Deno.listen({ hostname: "127.0.0.3", port });
  const config = await directory.write(
    "agent.toml",
    'server_bind_address = ["127.0.0.1", "127.0.0.3"]\nmetrics_enabled = false\n',
  );
  const flags = ["-c", config, "--server-port", `${port}`];
  await using agent = await startAgent({ addressFlags: false, port, flags, until: "nothing" });
  assert.equal((await within("the agent to end", 10_000, agent.exited)).code, 1);
  const errors = agent.logs.filter(({ level }) => level === "error");
  assert.equal(errors.length, 1);
  assert.match(errors[0]?.message ?? "", new RegExp(`127\\.0\\.0\\.3:${port}\\b.*in use`));
});

Deno.test("without metrics_enabled nothing listens for scrapers", async () => {
  await using backend = await startHealthBackend();
  const env = { HAPROXY_AGENT_METRICS_ENABLED: "false" };
  await withAgent({ env, until: "port" }, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    await assert.rejects(LineClient.open(agent.metricsPort), Deno.errors.ConnectionRefused);
  });
});

Deno.test("grpc_connect_timeout_ms bounds a peer that accepts and is silent", async () => {
  await using peer = silent();
  const flags = ["--grpc-connect-timeout", "300", "--reply-reason"];
  await withAgent({ flags }, async (agent) => {
    const { reply, ms } = await agent.askTimed(`127.0.0.1 ${peer.port} no-ssl a.test\n`);
    assert.match(reply, /^down #timeout: The peer sent no HTTP\/2 SETTINGS in time/);
    assert.ok(ms >= 290 && ms < 1000, `${ms} ms`);
  });
});

Deno.test("equal checks that share a failed attempt are one failure of fall", async () => {
  await using backend = await startHealthBackend({ delayMs: 200 });
  await withAgent({ flags: ["--grpc-rpc-timeout", "1000"] }, async (agent) => {
    const line = backend.line().replace("\n", " fall=2\n");
    using client = await agent.connect();
    assert.equal(await client.ask(line), "up\n");
    await backend.setError("", 13);
    await client.write(line.repeat(3));
    const shared = [await client.readLine(), await client.readLine(), await client.readLine()];
    assert.deepEqual(shared, ["up\n", "up\n", "up\n"]);
    const other = line.replace("fall=2", "fall=4");
    assert.equal(await client.ask(other), "down\n", "fall=4 has a count of its own");
    assert.equal(await client.ask(line), "down\n");
  });
});

Deno.test("fall and rise damp, per client, and a line may say otherwise", async () => {
  await using backend = await startHealthBackend();
  const env = { HAPROXY_AGENT_FALL: "3", HAPROXY_AGENT_RISE: "2" };
  await withAgent({ env }, async (agent) => {
    const { port } = agent;
    const ask = (from: string, option = "") =>
      askFrom(from, { port, line: backend.line().replace("\n", `${option}\n`) });
    assert.equal(await ask("127.0.0.1"), "up\n");
    assert.equal(await ask("127.0.0.2"), "up\n");
    await backend.setError("", 13);
    assert.deepEqual([await ask("127.0.0.1"), await ask("127.0.0.1")], ["up\n", "up\n"]);
    for (const damping of ["1 of 3 failures", "2 of 3 failures"]) {
      const entry = await agent.waitForLog(damping, (entry) => entry.damping === damping);
      assert.equal(entry.status, "up");
      assert.equal(entry.error_type, "rpc");
    }
    assert.equal(await ask("127.0.0.2"), "up\n", "Another client has seen one failure");
    assert.equal(await ask("127.0.0.1"), "down\n");
    assert.equal(await ask("127.0.0.3"), "down\n", "The first verdict counts at once");
    await backend.setStatus("", "SERVING");
    assert.deepEqual([await ask("127.0.0.1"), await ask("127.0.0.1")], ["down\n", "up\n"]);
    await backend.setError("", 13);
    assert.equal(await ask("127.0.0.1", " fall=1 rise=1"), "down\n");
    await backend.setStatus("", "NOT_SERVING");
    assert.equal(
      await ask("127.0.0.1"),
      "down\n",
      "What the backend says of itself counts at once",
    );
  });
});

Deno.test("coalesce_checks lets equal checks at once share an RPC, unless it is off", async () => {
  await using backend = await startHealthBackend({ delayMs: 400 });
  for (const [coalesce, calls] of [["true", 1], ["false", 10]] as const) {
    await withAgent({ flags: ["--coalesce-checks", coalesce] }, async (agent) => {
      const before = (await backend.report()).calls;
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => agent.ask(backend.line())),
      );
      assert.deepEqual(new Set(answers), new Set(["up\n"]));
      assert.equal((await backend.report()).calls - before, calls);
      const shared = (await agent.metrics()).get("haproxy_grpc_agent_checks_coalesced_total");
      assert.equal(shared, 10 - calls);
    });
  }
});

Deno.test("shutdown_timeout_ms bounds the stop", async () => {
  await using backend = await startHealthBackend();
  const flags = ["--shutdown-timeout", "700", ...LONG_DEADLINES];
  await using agent = await startAgent({ flags });
  await backend.freeze();
  using client = await agent.connect();
  await client.write(backend.line());
  await eventually("the check to begin", async () => {
    return (await agent.metrics()).get("grpc_channels_active") === 1;
  });
  const start = performance.now();
  agent.signal("SIGTERM");
  assert.equal((await within("the agent to end", 2000, agent.exited)).code, 0);
  assert.ok(performance.now() - start >= 400, "The check had its time");
  assert.equal(await client.readToEnd().catch(() => ""), "");
});

Deno.test("log_checks says which answers are logged", async () => {
  await using backend = await startHealthBackend();
  for (const [logChecks, count] of [["all", 4], ["changes", 2], ["none", 0]] as const) {
    await using agent = await startAgent({ env: { HAPROXY_AGENT_LOG_CHECKS: logChecks } });
    for (const status of ["SERVING", "NOT_SERVING"] as const) {
      await backend.setStatus("", status);
      for (let check = 0; check < 2; check++) await agent.ask(backend.line());
    }
    await agent.stop(); // then its log is complete
    const answered = agent.logs.filter(({ message }) => message === "Check answered");
    assert.equal(answered.length, count, logChecks);
  }
});

Deno.test("log_level and [logging.packages] say what is logged", async () => {
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "agent.toml",
    'log_level = "error"\n[logging.packages]\nserver = "debug"\n',
  );
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    assert.equal(await agent.ask("nonsense\n"), "down\n");
    await agent.waitForLog("of the connection", ({ message }) => message === "Connection closed");
    assert.deepEqual(new Set(agent.logs.map(({ component }) => component)), new Set(["server"]));
  });
});

Deno.test("log_format pretty is for people: no JSON, no colour outside a terminal", async () => {
  const [port, metricsPort] = [freePort(), freePort()];
  const flags = ["--server-port", `${port}`, "--metrics-port", `${metricsPort}`];
  flags.push("--server-bind", "127.0.0.1", "--metrics-bind", "127.0.0.1", "--log-format", "pretty");
  await using agent = await startAgent({ addressFlags: false, port, metricsPort, flags });
  assert.equal(await agent.ask("nonsense\n"), "down\n");
  await eventually("the line", () => agent.stderr.some((line) => line.includes("Invalid line")));
  assert.deepEqual(agent.logs, []);
  for (const line of agent.stderr) {
    assert.match(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z (trace|debug|info |warn |error) \w+ /);
    assert.ok(!line.includes("\x1b"), line);
  }
});
