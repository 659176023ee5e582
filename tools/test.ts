/**
 * Runs every test but those of containers, or the files and folders given; what begins with `-` goes to
 * `deno test` (`--filter=WORD`, in one word).
 *
 *   deno task test [--agent PATH] [FLAG ...] [FILE ...]
 *
 * With `--agent PATH`, or AGENT=PATH in the environment, the tests that look at the agent from outside judge
 * that program, such as an executable of `deno task compile`, instead of the bundle.
 */

import { resolve } from "node:path";

const ROOT = new URL("../", import.meta.url).pathname;
/** The tests that look at the agent from outside. */
const BLACK_BOX = ["tests/integration/", "tests/haproxy/"];
const ALL = ["tests/unit/", ...BLACK_BOX, "tests/soak/"];

const args = [...Deno.args];
let agent = Deno.env.get("AGENT");
const at = args.indexOf("--agent");
if (at >= 0) [, agent] = args.splice(at, 2);
if (at >= 0 && agent === undefined) fail("--agent needs the path of a program");
const path = agent ? resolve(agent) : undefined;
if (path !== undefined && !isFile(path)) fail(`There is no agent at ${path}`);

Deno.chdir(ROOT);
const chosen = args.some((argument) => !argument.startsWith("-"));
const tests = chosen ? [] : path === undefined ? ALL : BLACK_BOX;
const child = new Deno.Command(Deno.execPath(), {
  args: ["test", "--allow-all", "--trace-leaks", ...args, ...tests],
  env: path === undefined ? {} : { AGENT: path },
}).spawn();
// Ctrl-C reaches the tests as well.
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => {});
Deno.exit((await child.status).code);

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function fail(reason: string): never {
  console.error(reason);
  Deno.exit(1);
}
