import assert from "node:assert/strict";
import { LabProcess } from "../machine/lab_process.ts";
import { within } from "../testing/eventually.ts";
import { AGENT_COMMAND, agentVariables } from "./agent_process.ts";

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
 * @param wrapper a program, with arguments, that sets something up and then becomes the agent by exec
 * @throws {Error} when it does not end by itself
 */
export async function runAgent(
  args: string[],
  env: Record<string, string> = {},
  wrapper: string[] = [],
): Promise<RunResult> {
  const [program = "", ...before] = [...wrapper, ...AGENT_COMMAND];
  await using process = new LabProcess(program, {
    args: [...before, ...args],
    env: { NO_COLOR: "1", ...env },
    withoutEnv: agentVariables(),
  });
  const { code } = await within("the program to end", RUN_TIMEOUT_MS, process.exited);
  return { code, stdout: process.stdout.lines, stderr: process.stderr.lines };
}

/** A wrapper for {@linkcode runAgent}: what the program writes (`>` or `2>`) meets a full disk. */
export function toFullDisk(redirection: ">" | "2>"): string[] {
  return ["sh", "-c", `exec "$@" ${redirection}/dev/full`, "sh"];
}

/** What `check --json` prints, and its exit code. */
export interface CheckResult {
  code: number;
  verdict: string;
  detail: string;
  reply: string;
  duration_ms: number;
  timings_ms: Record<string, number>;
  [key: string]: unknown;
}

/** Runs `check --json` with these arguments; `env` and `wrapper` are those of {@linkcode runAgent}. */
export async function checkJson(
  args: string[],
  env?: Record<string, string>,
  wrapper?: string[],
): Promise<CheckResult> {
  const { code, stdout, stderr } = await runAgent(["check", "--json", ...args], env, wrapper);
  assert.equal(stdout.length, 1, [...stdout, ...stderr].join("\n"));
  return { code, ...JSON.parse(stdout[0] ?? "") };
}
