/**
 * Writes dist/bundle: the agent as one JavaScript file, and a program that runs it with the flags and
 * permissions of deno.json. It needs `deno` beside itself or in the PATH and nothing else, no network,
 * no cache.
 */

import { runArguments } from "./packaging/run_arguments.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const FOLDER = "dist/bundle";
const NAME = "haproxy-grpc-agent";

const launcher = `#!/bin/sh
# Runs ${NAME}.mjs, which stands beside it, with the deno beside it or that of the PATH; \`DENO\` names
# another.
# The first run by somebody who may write here leaves what Deno has found out about that file in cache/:
# without it each start takes longer and 20 MB more.
here=$(dirname -- "$(readlink -f -- "$0")")
export DENO_NO_UPDATE_CHECK=1 DENO_DIR="\${DENO_DIR:-$here/cache}"
[ -x "$here/deno" ] && deno="$here/deno" || deno=deno
exec "\${DENO:-$deno}" ${runArguments().map(quote).join(" ")} "$here/${NAME}.mjs" "$@"
`;

Deno.chdir(ROOT);
await Deno.mkdir(FOLDER, { recursive: true });
const { success } = await new Deno.Command(Deno.execPath(), {
  args: ["bundle", "--quiet", "--minify", "-o", `${FOLDER}/${NAME}.mjs`, "src/main.ts"],
}).output();
if (!success) {
  console.error("The bundle could not be made: see above");
  Deno.exit(1);
}
await Deno.writeTextFile(`${FOLDER}/${NAME}`, launcher, { mode: 0o755 });
await Deno.chmod(`${FOLDER}/${NAME}`, 0o755);

function quote(word: string): string {
  return /^[\w\-./=,:]+$/.test(word) ? word : `'${word}'`;
}
