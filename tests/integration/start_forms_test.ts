import assert from "node:assert/strict";
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
