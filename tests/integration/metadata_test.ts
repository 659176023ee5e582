import assert from "node:assert/strict";
import { runAgent } from "../lab/agent/run_agent.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { startPythonBackend, testWithPython } from "../lab/backends/libraries/library_backends.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

const SECRET = "Bearer s3cret-of-the-test";

const TOML = `log_level = "trace"
reply_reason = true
[metadata]
authorization = "env:PROBE_TOKEN"
X-Probe = "in-file-s3cret"
`;

async function testMetadata(start: typeof startHealthBackend): Promise<void> {
  await using backend = await start({ services: { "": "SERVING", "a.B": "SERVING" } });
  await using directory = await TempDirectory.create();
  const flags = ["--config", await directory.write("agent.toml", TOML)];
  const env = { PROBE_TOKEN: SECRET };
  const said: string[] = [];
  await withAgent({ flags, env }, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    const { recent } = await backend.report();
    assert.equal(recent.length, 1);
    assert.equal(recent[0]?.metadata.authorization, SECRET);
    assert.equal(recent[0]?.metadata["x-probe"], "in-file-s3cret");

    // Whatever can go wrong now, none of it may tell.
    for (const code of [7, 16, 14]) {
      await backend.setError("a.B", code, "Not you");
      said.push(await agent.ask(backend.line({ service: "a.B" })));
    }
    said.push(await agent.ask("nonsense\n"));
    await backend.kill();
    said.push(await agent.ask(backend.line()));
    said.push((await agent.get("/metrics")).body);
    agent.signal("SIGHUP");
    await agent.waitForLog(
      "of the reload",
      ({ message }) => message === "Configuration read again",
    );
    said.push(...agent.stderr);
  });
  const printed = await runAgent([...flags, "--check-config"], env);
  said.push(...printed.stdout, ...printed.stderr);
  assert.match(printed.stdout.join("\n"), /^authorization = "\(hidden\)"$/m);
  const checked = await runAgent([...flags, "check", "127.0.0.1", "1", "no-ssl", "a.test"], env);
  said.push(...checked.stdout, ...checked.stderr);
  assert.doesNotMatch(said.join("\n"), /s3cret/);
}

Deno.test("[metadata] reaches a grpc-js backend with each RPC, and is told nowhere", async () => {
  await testMetadata(startHealthBackend);
});

testWithPython(
  "[metadata] reaches a C core backend with each RPC, and is told nowhere",
  async () => {
    await testMetadata(startPythonBackend);
  },
);

Deno.test("a wrong [metadata] is told without its values", async () => {
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "agent.toml",
    `[metadata]
authorization = "s3cret\\u00e9"
token = "env:PROBE_TOKEN"
te = "s3cret"
number = 1
`,
  );
  const { code, stderr } = await runAgent(["--config", config], { PROBE_TOKEN: "s3cret\n" });
  assert.equal(code, 1);
  assert.equal(stderr.length, 4, stderr.join("\n"));
  assert.doesNotMatch(stderr.join("\n"), /s3cret/);
});

Deno.test("a secret in a file that is no TOML is not told", async () => {
  await using directory = await TempDirectory.create();
  const config = await directory.write("agent.toml", '[metadata]\nauthorization = s3cret"\n');
  const { code, stderr } = await runAgent(["--config", config]);
  assert.equal(code, 1);
  assert.equal(stderr.length, 1);
  assert.doesNotMatch(stderr.join("\n"), /s3cret/);
});

Deno.test("[metadata] from an empty variable is not sent, which is warned of", async () => {
  await using backend = await startHealthBackend();
  await using directory = await TempDirectory.create();
  const text = '[metadata]\nauthorization = "env:PROBE_TOKEN"\nx-probe = "a"\n';
  const flags = ["--config", await directory.write("agent.toml", text)];
  await withAgent({ flags, env: { PROBE_TOKEN: "" } }, async (agent) => {
    const { message } = await agent.waitForLog(
      "of the variable",
      ({ level, message }) => level === "warn" && message.startsWith("metadata.authorization "),
    );
    assert.match(
      message,
      / line 2\): the variable PROBE_TOKEN is empty, so authorization is not sent$/,
    );
    assert.equal(await agent.ask(backend.line()), "up\n");
    const { metadata } = (await backend.report()).recent[0] ?? {};
    assert.equal(metadata?.authorization, undefined);
    assert.equal(metadata?.["x-probe"], "a");
  });
});

Deno.test("[metadata] with a name twice, in another case, starts no agent", async () => {
  await using directory = await TempDirectory.create();
  const config = await directory.write("agent.toml", '[metadata]\nX-A = "1"\nx-a = "2"\n');
  const { code, stderr } = await runAgent(["--config", config]);
  assert.equal(code, 1);
  assert.equal(stderr.length, 1, stderr.join("\n"));
  assert.match(
    stderr[0] ?? "",
    /: metadata\.x-a \(from .* line 3\): this name has a value already/,
  );
});

Deno.test("a setting below [metadata] starts no agent, and is never sent", async () => {
  await using directory = await TempDirectory.create();
  const text = '[metadata]\nx-a = "1"\n\nserver_bind_address = "127.0.0.1"\n';
  const config = await directory.write("agent.toml", text);
  const { code, stderr } = await runAgent(["--config", config]);
  assert.equal(code, 1);
  assert.deepEqual(stderr, [
    `haproxy-grpc-agent: metadata.server_bind_address (from ${config} line 4): a setting, which must stand ` +
    "above the first [table]",
  ]);
});
