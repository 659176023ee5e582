/**
 * Runs every test but those of containers, or the files and folders given; what begins with `-` goes to
 * `deno test` (`--filter=WORD`, in one word).
 *
 *   deno task test [--agent PATH] [FLAG ...] [FILE ...]
 *
 * With `--agent PATH`, or AGENT=PATH in the environment, the tests that look at the agent from outside judge
 * that program, such as an executable of `deno task compile`, instead of the bundle.
 *
 * Tests wait more than they work, so several files run at once, each in a process of its own, and each is told
 * of when it has ended: in a line, or in all its words when it has failed. One file alone is shown as it runs.
 */

import { relative, resolve } from "node:path";

const ROOT = new URL("../", import.meta.url).pathname;
/** They run at once by themselves. */
const UNIT = "tests/unit/";
/** The tests that look at the agent from outside. */
const BLACK_BOX = ["tests/haproxy/", "tests/integration/"];
/** What they ask of the agent takes the whole machine. */
const ALONE = [
  "tests/soak/soak_test.ts",
  "tests/integration/client/many_targets_test.ts",
  "tests/integration/load_test.ts",
  "tests/haproxy/dynamic/dns_servers_test.ts",
];

const MAX_AT_ONCE = 8;
const atOnce = Math.min(MAX_AT_ONCE, navigator.hardwareConcurrency + 2);

const args = [...Deno.args];
if (args.includes("--help")) {
  // Each deno test would tell its own, and end well.
  console.log("Usage: deno task test [--agent PATH] [FLAG OF deno test ...] [FILE OR FOLDER ...]");
  Deno.exit(0);
}
let agent = Deno.env.get("AGENT");
const at = args.indexOf("--agent");
if (at >= 0) [, agent] = args.splice(at, 2);
if (at >= 0 && agent === undefined) fail("--agent needs the path of a program");
const path = agent ? resolve(agent) : undefined;
if (path !== undefined && !isFile(path)) fail(`There is no agent at ${path}`);

const flags = args.filter((argument) => argument.startsWith("-"));
const chosen = args.filter((argument) => !argument.startsWith("-"))
  .map((argument) => relative(ROOT, resolve(argument)));
Deno.chdir(ROOT);
for (const name of chosen) if (!exists(name)) fail(`There is no ${name}`);

const children = new Set<Deno.ChildProcess>();
for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.addSignalListener(signal, () => {
    for (const child of children) child.kill(signal);
    Deno.exit(code);
  });
}

const files = chosen.length > 0
  ? chosen.flatMap(testFilesIn)
  : [...path === undefined ? [UNIT] : [], ...BLACK_BOX.flatMap(testFilesIn)];
if (path === undefined && chosen.length === 0) files.push(...testFilesIn("tests/soak/"));
if (files.length === 0) fail("There are no tests");
Deno.exit(await (files.length === 1 ? runShown(files[0] ?? "") : runAll(files)) ? 0 : 1);

async function runShown(file: string): Promise<boolean> {
  return (await start(file, 0, "inherit").status).success;
}

/** @returns whether all have passed */
async function runAll(files: readonly string[]): Promise<boolean> {
  const began = performance.now();
  const failed: string[] = [];
  const run = async (file: string, worker: number) => {
    const { success, stdout, stderr } = await start(file, worker, "piped").output();
    const decoder = new TextDecoder();
    const text = `${decoder.decode(stdout)}${decoder.decode(stderr)}`;
    const summary = text.split("\n").findLast((line) => /^(ok|FAILED) \|/.test(line));
    if (success) {
      for (const line of text.split("\n")) if (line.startsWith("Ignored: ")) console.log(line);
      console.log(`${summary ?? "ok"} ${file}`);
    } else {
      failed.push(file);
      console.log(text.trimEnd());
    }
  };
  const isUnit = (file: string) => file.startsWith(UNIT);
  const isAlone = (file: string) => ALONE.includes(file);
  for (const file of files.filter(isUnit)) await run(file, 0);
  const waiting = files.filter((file) => !isUnit(file) && !isAlone(file));
  await Promise.all(Array.from({ length: atOnce }, async (_, worker) => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      await run(file, worker);
    }
  }));
  for (const file of files.filter(isAlone)) await run(file, 0);
  const took = Math.round((performance.now() - began) / 1000);
  console.log(`${files.length} files in ${took} s`);
  for (const file of failed) console.log(`Failed: ${file}`);
  return failed.length === 0;
}

/** @param worker of those that run at once; each has ports of its own (tests/lab/machine/free_port.ts) */
function start(file: string, worker: number, output: "inherit" | "piped"): Deno.ChildProcess {
  const child = new Deno.Command(Deno.execPath(), {
    // `deno task check` checks types, once.
    args: [
      "test",
      "--allow-all",
      "--no-check",
      ...file === UNIT ? ["--parallel"] : [],
      ...flags,
      file,
    ],
    env: {
      TEST_WORKER: `${worker}/${atOnce}`,
      ...path === undefined ? {} : { AGENT: path },
      ...output === "inherit" ? {} : { NO_COLOR: "1" },
    },
    stdout: output,
    stderr: output,
  }).spawn();
  children.add(child);
  void child.status.then(() => children.delete(child));
  return child;
}

function testFilesIn(path: string): string[] {
  if (isFile(path)) return [path];
  return [...Deno.readDirSync(path)]
    .map(({ name, isDirectory }) => `${path.replace(/\/$/, "")}/${name}${isDirectory ? "/" : ""}`)
    .sort()
    .flatMap((path) =>
      path.endsWith("/") ? testFilesIn(path) : path.endsWith("_test.ts") ? [path] : []
    );
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function isFile(path: string): boolean {
  return exists(path) && Deno.statSync(path).isFile;
}

function fail(reason: string): never {
  console.error(reason);
  Deno.exit(1);
}
