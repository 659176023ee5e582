/**
 * Writes dist/haproxy-grpc-agent: one executable of the very bundle that the tests run, with the flags
 * and permissions of deno.json built in. Arguments go to `deno compile` (`--target aarch64-unknown-linux-gnu`).
 */

import { V8_FLAGS } from "./packaging/run_arguments.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const EXECUTABLE = "dist/haproxy-grpc-agent";
/** It takes the place of the one before once it has shown that it runs. */
const NEW = `${EXECUTABLE}.new`;

Deno.chdir(ROOT);
const compile = await new Deno.Command(Deno.execPath(), {
  args: [
    ...["compile", "--quiet", "--frozen", "--no-prompt", "-P=agent", V8_FLAGS, "-o", NEW],
    ...Deno.args,
    "dist/bundle/haproxy-grpc-agent.mjs",
  ],
  stdout: "inherit",
  stderr: "piped",
}).output();
const said = new TextDecoder().decode(compile.stderr);
if (!compile.success) {
  const [, url] = /error sending request for url \((.*?)\)/.exec(said) ?? [];
  fail(
    url === undefined
      ? said
      : `Deno's runtime for executables could not be downloaded from ${url}. Fetch and unpack that file ` +
        "elsewhere, and name the program in it: DENORT_BIN=PATH deno task compile",
  );
}
// What was built for another machine cannot be run here.
if (!Deno.args.some((argument) => argument.startsWith("--target"))) {
  const version = await new Deno.Command(NEW, { args: ["--version"], stdin: "null" })
    .output();
  const text = new TextDecoder().decode(version.stdout);
  if (!text.startsWith("haproxy-grpc-agent ")) {
    await Deno.remove(NEW);
    fail(
      `What was built does not run the agent: is DENORT_BIN denort of Deno ${Deno.version.deno}?`,
    );
  }
  console.log(`${EXECUTABLE}: ${text.trim()}`);
}
await Deno.rename(NEW, EXECUTABLE);

function fail(reason: string): never {
  console.error(reason.trimEnd());
  Deno.exit(1);
}
