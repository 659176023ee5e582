import assert from "node:assert/strict";
import { RELOADED } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { LineClient } from "../lab/clients/line_client.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { LabProcess } from "../lab/machine/lab_process.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { ROOT } from "../lab/testing/repository.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

const DENO = Deno.execPath();
const LAUNCHER = `${ROOT}dist/bundle/haproxy-grpc-agent`;

for (
  const { form, program, args, env } of [
    { form: "deno task start", program: DENO, args: ["task", "--quiet", "start"], env: {} },
    { form: "the program beside the bundle", program: LAUNCHER, args: [], env: { DENO } },
  ]
) {
  Deno.test(`${form} starts an agent, and SIGTERM ends it with 0`, async () => {
    await using backend = await startHealthBackend();
    const port = freePort();
    const flags = ["--server-bind", "127.0.0.1", "--server-port", `${port}`];
    await using agent = new LabProcess(program, {
      args: [...args, ...flags, "--metrics-enabled", "false"],
      env,
    });
    using client = await eventually(
      "the agent to accept",
      () => LineClient.open(port).catch(() => undefined),
      { timeoutMs: 15_000 },
    );
    assert.equal(await client.ask(backend.line()), "up\n");
    agent.signal("SIGTERM");
    assert.equal((await agent.exited).code, 0);
  });
}

/** Starts the program beside the bundle. */
function startLauncher(port: number, env: Record<string, string> = {}): LabProcess {
  const flags = ["--server-bind", "127.0.0.1", "--server-port", `${port}`];
  return new LabProcess(LAUNCHER, {
    args: [...flags, "--metrics-enabled", "false"],
    env: { DENO, ...env },
  });
}

async function connected(port: number): Promise<LineClient> {
  return await eventually(
    "the agent to accept",
    () => LineClient.open(port).catch(() => undefined),
    { timeoutMs: 15_000 },
  );
}

/** Whether all threads of a process keep SIGUSR1, the tenth signal, from being delivered. */
function blocksUsr1(pid: number): boolean {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].every(({ name }) => {
    const status = Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`);
    const [, mask = "0"] = /^SigBlk:\s+(\w+)$/m.exec(status) ?? [];
    return (BigInt(`0x${mask}`) & (1n << 9n)) !== 0n;
  });
}

Deno.test("the program beside the bundle keeps SIGUSR1 from Deno, which would open its debugger", async () => {
  await using backend = await startHealthBackend();
  const port = freePort();
  await using agent = startLauncher(port);
  using client = await connected(port);
  assert.ok(blocksUsr1(agent.pid));
  agent.signal("SIGUSR1");
  agent.signal("SIGHUP");
  await agent.stderr.waitFor("the reload", (line) => line.includes(RELOADED) || undefined);
  assert.equal(await client.ask(backend.line()), "up\n");
  agent.signal("SIGINT");
  assert.equal((await agent.exited).code, 0);
});

Deno.test("the program beside the bundle runs where env cannot block a signal", async () => {
  await using backend = await startHealthBackend();
  await using directory = await TempDirectory.create();
  const env = await directory.write("env", "#!/bin/sh\necho unrecognized option >&2\nexit 1\n");
  await Deno.chmod(env, 0o755);
  const port = freePort();
  const path = `${directory.path}:${Deno.env.get("PATH")}`;
  await using agent = startLauncher(port, { PATH: path });
  using client = await connected(port);
  assert.equal(await client.ask(backend.line()), "up\n");
  assert.doesNotMatch(agent.stderr.lines.join("\n"), /unrecognized/);
});

Deno.test("the program beside the bundle is not changed by variables that are for Deno itself", async () => {
  await using backend = await startHealthBackend();
  const port = freePort();
  await using _agent = startLauncher(port, {
    NODE_OPTIONS: "--require /nowhere.cjs",
    NODE_USE_ENV_PROXY: "1",
    http_proxy: "http://192.0.2.1:1",
    DENO_SERVE_ADDRESS: "tcp:127.0.0.1:1",
  });
  using client = await connected(port);
  assert.equal(await client.ask(backend.line()), "up\n");
});

for (
  const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXFSZ", "SIGXCPU"] as const
) {
  Deno.test(`${signal} while Deno starts does not end the program beside the bundle`, async () => {
    await using backend = await startHealthBackend();
    const port = freePort();
    await using agent = startLauncher(port);
    await eventually(
      "the shell to become Deno",
      () => Deno.readLinkSync(`/proc/${agent.pid}/exe`) === Deno.realPathSync(DENO),
      { everyMs: 1 },
    );
    agent.signal(signal);
    using client = await connected(port);
    assert.equal(await client.ask(backend.line()), "up\n");
    agent.signal("SIGHUP");
    await agent.stderr.waitFor("the reload", (line) => line.includes(RELOADED) || undefined);
  });
}

Deno.test("without Deno's runtime for executables `deno task compile` says in one line how to give it", async () => {
  await using cache = await TempDirectory.create();
  await using compile = new LabProcess(DENO, {
    args: ["run", "--allow-all", "tools/compile.ts"],
    // Nothing that is cached, and nowhere to download from.
    env: { DENO_DIR: cache.path, HTTPS_PROXY: "http://127.0.0.1:1" },
    withoutEnv: ["COMPILE_DENO", "DENORT_BIN"],
  });
  assert.equal((await compile.exited).code, 1);
  assert.match(
    compile.stderr.lines.join("\n"),
    /^Deno's runtime for executables could not be downloaded from \S+\. .*DENORT_BIN=PATH.*$/,
  );
});

Deno.test("`deno task compile` keeps no executable that does not run the agent", async () => {
  await using compile = new LabProcess(DENO, {
    args: ["run", "--allow-all", "tools/compile.ts"],
    // A whole Deno in the place of its runtime: it takes the bundle and starts a prompt.
    env: { DENORT_BIN: DENO },
    withoutEnv: ["COMPILE_DENO"],
  });
  assert.equal((await compile.exited).code, 1);
  assert.match(compile.stderr.lines.join("\n"), /is DENORT_BIN denort of Deno/);
  await assert.rejects(Deno.stat(`${ROOT}dist/haproxy-grpc-agent.new`), Deno.errors.NotFound);
});
