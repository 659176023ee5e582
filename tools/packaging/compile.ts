import { V8_FLAGS } from "./run_arguments.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/**
 * The Deno that makes executables: `COMPILE_DENO`, or the one that runs this. An executable has the
 * runtime of that Deno, so releases are made by the pinned one; another is for trying where the runtime of
 * the pinned one cannot be had.
 */
const COMPILER = Deno.env.get("COMPILE_DENO") || Deno.execPath();

/**
 * Makes an executable of a script, with the flags and permissions of deno.json built in. `deno compile`
 * downloads the runtime that goes into it, unless `DENORT_BIN` names one of the same Deno.
 *
 * @param output the executable to write
 * @param script one file
 * @param more arguments for `deno compile`, such as `--target=aarch64-unknown-linux-gnu`
 * @throws {Error} when Deno cannot make it, with the reason, or with what to do when the runtime is missing
 */
export async function compile(
  output: string,
  script: string,
  more: readonly string[] = [],
): Promise<void> {
  const { success, stderr } = await new Deno.Command(COMPILER, {
    args: [
      ...["compile", "--quiet", "--frozen", "--no-prompt", "-P=agent", V8_FLAGS, "-o", output],
      ...more,
      script,
    ],
    cwd: ROOT,
    env: { DENO_NO_UPDATE_CHECK: "1" },
    stdout: "inherit",
    stderr: "piped",
  }).output();
  if (success) return;
  const said = new TextDecoder().decode(stderr);
  const [, url] = /error sending request for url \((.*?)\)/.exec(said) ?? [];
  throw new Error(
    url === undefined
      ? said.trimEnd()
      : `Deno's runtime for executables could not be downloaded from ${url}. Fetch and unpack that file ` +
        "elsewhere, and name the program in it: DENORT_BIN=PATH deno task compile",
  );
}

/** The Deno that compiles, such as "Deno 2.9.6". */
export async function compilerVersion(): Promise<string> {
  const { stdout } = await new Deno.Command(COMPILER, { args: ["--version"] }).output();
  return `Deno ${/^deno (\S+)/.exec(new TextDecoder().decode(stdout))?.[1]}`;
}
