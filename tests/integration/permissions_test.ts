// What somebody who has taken the agent over can do: the same attempts from a script, as the bundle is run,
// and from an executable.

import assert from "node:assert/strict";
import { compile } from "../../tools/packaging/compile.ts";
import { runArguments } from "../../tools/packaging/run_arguments.ts";
import { AGENT_COMMAND } from "../lab/agent/agent_process.ts";
import { runAgent } from "../lab/agent/run_agent.ts";
import { ROOT } from "../lab/testing/repository.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";
import { testThatNeeds } from "../lab/testing/test_that_needs.ts";

const PROBE = `${ROOT}tests/lab/agent/permission_probe.ts`;
const LEFT_BY_PROBE = ["/tmp/haproxy-grpc-agent-probe", "/var/log/haproxy-grpc-agent-probe"];

/** A program, with its arguments, that runs the probe under the agent's permissions. */
type Program = readonly string[];

async function probe(program: Program, destination: "console" | "file") {
  await using folder = await TempDirectory.create();
  const link = `${folder.path}/link`;
  await Deno.symlink("/etc/shadow", link);
  const [executable = "", ...args] = program;
  try {
    const { stdout, stderr } = await new Deno.Command(executable, {
      args: [...args, destination, link],
      env: { PROBE_SECRET: "secret" },
    }).output();
    const said = new TextDecoder().decode(stdout);
    assert.match(said, /^\{/, new TextDecoder().decode(stderr));
    return JSON.parse(said);
  } finally {
    for (const path of LEFT_BY_PROBE) await Deno.remove(path).catch(() => {});
  }
}

/** Below deno.json: an executable has the permissions that it names. */
function folderForProbe(): Promise<TempDirectory> {
  return TempDirectory.create(`${ROOT}dist`);
}

/** Writes the probe as one file, as the agent is: the flags that ship let no package be found. */
async function bundleProbe(folder: string): Promise<string> {
  const output = `${folder}/probe.mjs`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "-o", output, PROBE],
    cwd: ROOT,
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return output;
}

/** An executable of the probe, made as the agent's is. */
async function compileProbe(folder: string): Promise<Program> {
  const output = `${folder}/probe`;
  await compile(output, await bundleProbe(folder), ["--no-check"]);
  return [output];
}

/** Why an executable cannot be made here. */
async function compileProblem(): Promise<string | undefined> {
  await using folder = await folderForProbe();
  try {
    await compileProbe(folder.path);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const REFUSED = {
  "write to /etc": "NotCapable",
  "write to /usr/local": "NotCapable",
  "make a link": "NotCapable",
  "make a symbolic link": "NotCapable",
  "run a program": "NotCapable",
  "run a program by node:child_process": "nothing",
  "kill a process": "NotCapable",
  "load a native library": "NotCapable",
  "load a native module": "NotCapable",
  "read /etc/shadow": "NotCapable",
  "read /etc/shadow by node:fs": "NotCapable",
  // Deno judges the path, not what it leads to: no link may be made, and one that is there is followed.
  "read /etc/shadow by a link that is there": "done",
  "read /etc/shadow by /proc": "NotCapable",
  "read /proc/self/environ": "NotCapable",
  "read /proc/self/mem": "NotCapable",
  "read a file of the configuration": "done",
  "read the environment": "nothing",
  "read a variable": "nothing",
  "ask for the host's name": "NotCapable",
  "ask for the right to run": "nothing",
};

async function holds(program: Program): Promise<void> {
  assert.deepEqual(await probe(program, "console"), {
    ...REFUSED,
    "write to /tmp": "NotCapable",
    "write to /var/log": "NotCapable",
  });
  assert.deepEqual(await probe(program, "file"), {
    ...REFUSED,
    "write to /tmp": "done",
    "write to /var/log": "done",
  });
}

Deno.test("A serving agent runs no program, reads no secret and no variable, and writes log files at most", async () => {
  await using folder = await folderForProbe();
  await holds([Deno.execPath(), ...runArguments(), await bundleProbe(folder.path)]);
});

testThatNeeds(
  { missing: await compileProblem() },
  "An executable has these very permissions, whatever its arguments and variables ask for",
  async () => {
    await using folder = await folderForProbe();
    const program = await compileProbe(folder.path);
    await holds(program);
    const asking = ["env", "DENO_PERMISSIONS=all", "DENO_ALLOW_ALL=1", "DENO_FLAGS=--allow-all"];
    await holds([...asking, ...program]);
  },
);

Deno.test({
  name: "The agent that is tested has the permissions that ship, and no other",
  // An executable has them built in: the test above.
  ignore: Deno.env.has("AGENT"),
  fn: theShippedPermissions,
});

async function theShippedPermissions(): Promise<void> {
  const launcher = await Deno.readTextFile(`${ROOT}dist/bundle/haproxy-grpc-agent`);
  const isPermission = (word: string) => /^(-A$|-P|--(allow|deny|ignore|permission))/.test(word);
  const tested = AGENT_COMMAND.filter(isPermission);
  for (const word of tested) assert.ok(launcher.includes(word), word);
  const kinds = tested.map((word) => word.replace(/=.*/, "")).sort();
  assert.deepEqual(kinds, [
    ...["--allow-env", "--allow-net", "--allow-read", "--allow-write"],
    ...["--deny-read", "--ignore-env"],
  ]);
}

Deno.test("A configuration file that may not be read is refused, without a question", async () => {
  const { code, stderr } = await runAgent(["--config", "/etc/shadow"]);
  assert.equal(code, 1);
  assert.match(stderr.join("\n"), /\/etc\/shadow.*read access/i);
});
