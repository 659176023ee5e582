/**
 * Writes dist/haproxy-grpc-agent: one executable of the very bundle that the tests run, with the flags
 * and permissions of deno.json built in. Arguments go to `deno compile` (`--target aarch64-unknown-linux-gnu`).
 */

import { compile, compilerVersion } from "./packaging/compile.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const EXECUTABLE = "dist/haproxy-grpc-agent";
/** It takes the place of the one before once it has shown that it runs. */
const NEW = `${EXECUTABLE}.new`;

Deno.chdir(ROOT);
try {
  await compile(NEW, "dist/bundle/haproxy-grpc-agent.mjs", Deno.args);
} catch (error) {
  fail((error as Error).message);
}
// What was built for another machine cannot be run here.
if (!Deno.args.some((argument) => argument.startsWith("--target"))) {
  const { stdout } = await new Deno.Command(NEW, { args: ["--version"], stdin: "null" }).output();
  const said = new TextDecoder().decode(stdout).trim();
  const compiler = await compilerVersion();
  if (!said.startsWith("haproxy-grpc-agent ")) {
    await Deno.remove(NEW);
    fail(`What was built does not run the agent: is DENORT_BIN denort of ${compiler}?`);
  }
  console.log(`${EXECUTABLE}: ${said}, by ${compiler}`);
}
await Deno.rename(NEW, EXECUTABLE);

function fail(reason: string): never {
  console.error(reason);
  Deno.exit(1);
}
