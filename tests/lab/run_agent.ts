import { AGENT_COMMAND } from "./agent.ts";
import { LabProcess } from "./lab_process.ts";
import { within } from "./eventually.ts";

/** What a run of the program has left. */
export interface RunResult {
  code: number;
  stdout: string[];
  stderr: string[];
}

/** Time a run may take, in milliseconds. */
const RUN_TIMEOUT_MS = 15_000;

/**
 * Runs the agent's program to its end: `--help`, `check`, a configuration that it refuses.
 *
 * @param env variables on top of this process' own, of which those for an agent are left out
 * @throws {Error} when it does not end by itself
 */
export async function runAgent(
  args: string[],
  env: Record<string, string> = {},
): Promise<RunResult> {
  const [program = "", ...before] = AGENT_COMMAND;
  await using process = new LabProcess(program, {
    args: [...before, ...args],
    env: { NO_COLOR: "1", ...env },
    withoutEnv: Object.keys(Deno.env.toObject()).filter((name) =>
      name.startsWith("HAPROXY_AGENT_")
    ),
  });
  const { code } = await within("the program to end", RUN_TIMEOUT_MS, process.exited);
  return { code, stdout: process.stdout.lines, stderr: process.stderr.lines };
}
