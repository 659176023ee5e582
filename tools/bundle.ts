/**
 * Writes dist/bundle: the agent as a JavaScript file, grpc-js as another that the first loads where
 * `grpc_client = "grpc-js"` is set (in one file it would cost all others 3 MB), and a program that runs
 * them with the flags and permissions of deno.json. It needs `deno` beside itself or in the PATH and
 * nothing else, no network, no cache.
 */

import { runArguments } from "./packaging/run_arguments.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const FOLDER = "dist/bundle";
const NAME = "haproxy-grpc-agent";

/** As src/backends.ts imports it, and the file that it is in the bundle. */
const GRPC_JS_IMPORT = "./grpc_js/client.ts";
const GRPC_JS = `${NAME}-grpc-js.mjs`;

const launcher = `#!/bin/sh
# Runs ${NAME}.mjs, which stands beside it, with the deno beside it or that of the PATH; \`DENO\` names
# another.
# The first two runs by somebody who may write here leave what Deno has found out about that file in cache/:
# without it each start takes longer and 20 MB more.
here=$(dirname -- "$(readlink -f -- "$0")")
export DENO_NO_UPDATE_CHECK=1 DENO_DIR="\${DENO_DIR:-$here/cache}"
[ -x "$here/deno" ] && deno="$here/deno" || deno=deno
# What changes how Deno itself runs, or has it run something else, is not for the agent.
unset NODE_OPTIONS NODE_USE_ENV_PROXY DENO_SERVE_ADDRESS
# These would end Deno while it starts; the agent listens for them later.
trap '' HUP USR1 USR2 ALRM XFSZ XCPU
# SIGUSR1 has Deno (2.9.2 and later) open its debugger to all users of the machine, and no flag of it keeps
# that shut (https://github.com/denoland/deno/pull/35738), so the signal is blocked. Not every env can.
block='env --block-signal=USR1'
$block true 2>/dev/null || block=
exec $block "\${DENO:-$deno}" ${runArguments().map(quote).join(" ")} "$here/${NAME}.mjs" "$@"
`;

Deno.chdir(ROOT);
await Deno.mkdir(FOLDER, { recursive: true });
await bundle("src/grpc_js/client.ts", GRPC_JS);
await bundle("src/main.ts", `${NAME}.mjs`, "--external", `*${GRPC_JS_IMPORT}`);
await pointTo(`${FOLDER}/${NAME}.mjs`, GRPC_JS_IMPORT, `./${GRPC_JS}`);
await Deno.writeTextFile(`${FOLDER}/${NAME}`, launcher, { mode: 0o755 });
await Deno.chmod(`${FOLDER}/${NAME}`, 0o755);

async function bundle(source: string, name: string, ...more: string[]): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--minify", ...more, "-o", `${FOLDER}/${name}`, source],
  }).output();
  if (success) return;
  console.error("The bundle could not be made: see above");
  Deno.exit(1);
}

/** Has a bundle import another file than its sources did. */
async function pointTo(bundle: string, source: string, file: string): Promise<void> {
  const [before, after, ...more] = (await Deno.readTextFile(bundle)).split(`import("${source}")`);
  if (before === undefined || after === undefined || more.length > 0) {
    console.error(`${bundle} does not import ${source} in one place`);
    Deno.exit(1);
  }
  await Deno.writeTextFile(bundle, `${before}import("${file}")${after}`);
}

function quote(word: string): string {
  return /^[\w\-./=,:]+$/.test(word) ? word : `'${word}'`;
}
