import assert from "node:assert/strict";
import { type AgentProcess, startAgent } from "../lab/agent/agent_process.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { eventually } from "../lab/testing/eventually.ts";

/** Runs a test with a configuration file that can be written anew. */
async function withConfig(
  test: (path: string, write: (toml: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".toml" });
  try {
    await test(path, (toml) => Deno.writeTextFile(path, toml));
  } finally {
    await Deno.remove(path);
  }
}

/** The components that log at a level while a line that is no request is asked. */
async function componentsAt(agent: AgentProcess, level: string): Promise<string[]> {
  const before = agent.logs.length;
  assert.equal(await agent.ask("nonsense\n"), "down\n");
  const since = () => agent.logs.slice(before);
  await eventually("the line's entry", () => since().some((one) => one.message === "Invalid line"));
  const found = since().filter((entry) => entry.level === level);
  return [...new Set(found.map(({ component }) => component))];
}

Deno.test("a component logs at the level of its own, the others at log_level", async () => {
  await withConfig(async (path, write) => {
    await write('log_level = "warn"\n[logging.packages]\nserver = "debug"\n');
    await using agent = await startAgent({ flags: ["--config", path] });
    assert.equal(await agent.ask("nonsense\n"), "down\n");
    assert.equal((await agent.stop()).code, 0);
    const seen = agent.logs.map(({ level, component, message }) =>
      `${level} ${component} ${message}`
    );
    assert.ok(seen.includes("debug server Connection opened"), seen.join("\n"));
    assert.ok(seen.includes("warn protocol Invalid line"), seen.join("\n"));
    for (const { level, component } of agent.logs) {
      assert.ok(component === "server" || level === "warn", `${level} ${component}`);
    }
  });
});

Deno.test("SIGHUP changes level, form and the levels of components", async () => {
  await withConfig(async (path, write) => {
    const [port, metricsPort] = [freePort(), freePort()];
    const addresses = `server_bind_address = "127.0.0.1"\nserver_port = ${port}\n` +
      `metrics_bind_address = "127.0.0.1"\nmetrics_port = ${metricsPort}\n`;
    await write(addresses);
    const flags = ["--config", path];
    await using agent = await startAgent({ port, metricsPort, addressFlags: false, flags });
    assert.deepEqual(await componentsAt(agent, "debug"), []);

    await write(`${addresses}[logging]\nlevel = "debug"\n`);
    agent.signal("SIGHUP");
    await agent.waitForLog(
      "of the reload",
      ({ message }) => message === "Configuration read again",
    );
    assert.ok((await componentsAt(agent, "debug")).includes("server"));

    await write(
      `${addresses}[logging]\nlevel = "info"\nformat = "pretty"\npackages.protocol = "error"\n`,
    );
    agent.signal("SIGHUP");
    await eventually("a pretty line", () => agent.otherLines.length > 0);
    assert.match(
      agent.otherLines[0] ?? "",
      /^\d{4}-\d\d-\d\dT[\d:.]+Z info +config +Configuration read again changed=/,
    );
    const before = agent.stderr.length;
    assert.equal(await agent.ask("nonsense\n"), "down\n");
    assert.equal((await agent.stop()).code, 0);
    const since = agent.stderr.slice(before).join("\n");
    assert.match(since, /info +main +Stopped/);
    assert.doesNotMatch(since, /Invalid line|debug/);
  });
});
