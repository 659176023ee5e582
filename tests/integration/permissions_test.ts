import assert from "node:assert/strict";
import { runArguments } from "../../tools/packaging/run_arguments.ts";
import { AGENT_COMMAND } from "../lab/agent.ts";
import { ROOT } from "../lab/lab_process.ts";
import { runAgent } from "../lab/run_agent.ts";

const PROBE = new URL("../lab/permission_probe.ts", import.meta.url).pathname;

async function probe(destination: "console" | "file"): Promise<Record<string, string>> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...runArguments(), PROBE, destination],
    env: { PROBE_SECRET: "secret" },
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

const REFUSED = {
  "write to /etc": "NotCapable",
  "write to /usr/local": "NotCapable",
  "run a program": "NotCapable",
  "load a native library": "NotCapable",
  "read /etc/shadow": "NotCapable",
  "read /proc/self/environ": "NotCapable",
  "read a file of the configuration": "done",
  "read the environment": "nothing",
  "read a variable": "nothing",
  "ask for the host's name": "NotCapable",
};

Deno.test("A serving agent can write no file, run no program, read no secret and no variable", async () => {
  assert.deepEqual(await probe("console"), {
    ...REFUSED,
    "write to /tmp": "NotCapable",
    "write to /var/log": "NotCapable",
  });
});

Deno.test("An agent that logs to a file can write where log files may be, and nothing else", async () => {
  try {
    assert.deepEqual(await probe("file"), {
      ...REFUSED,
      "write to /tmp": "done",
      "write to /var/log": "done",
    });
  } finally {
    for (const folder of ["/tmp", "/var/log"]) {
      await Deno.remove(`${folder}/haproxy-grpc-agent-probe`).catch(() => {});
    }
  }
});

Deno.test("The agent that is tested has the permissions that ship, and no other", async () => {
  const launcher = await Deno.readTextFile(`${ROOT}dist/bundle/haproxy-grpc-agent`);
  const isPermission = (word: string) => /^(-A$|-P|--(allow|deny|ignore|permission))/.test(word);
  const tested = AGENT_COMMAND.filter(isPermission);
  for (const word of tested) assert.ok(launcher.includes(word), word);
  const kinds = tested.map((word) => word.replace(/=.*/, "")).sort();
  assert.deepEqual(kinds, [
    ...["--allow-env", "--allow-net", "--allow-read", "--allow-write"],
    ...["--deny-read", "--ignore-env"],
  ]);
});

Deno.test("A configuration file that may not be read is refused, without a question", async () => {
  const { code, stderr } = await runAgent(["--config", "/etc/shadow"]);
  assert.equal(code, 1);
  assert.match(stderr.join("\n"), /\/etc\/shadow.*read access/i);
});
