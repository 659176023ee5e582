import { type AgentProcess, startAgent } from "../../tests/lab/agent.ts";
import { LineClient } from "../../tests/lab/line_client.ts";
import { eventually } from "../../tests/lab/eventually.ts";
import { freePort } from "../../tests/lab/free_port.ts";
import { LabProcess, ROOT } from "../../tests/lab/lab_process.ts";
import { runArguments } from "../packaging/run_arguments.ts";

/** Something that answers lines. */
export interface Subject extends AsyncDisposable {
  readonly pid: number;
  readonly port: number;
}

/** The ways to answer that are compared; the first is the floor of the others. */
export const SUBJECTS: Readonly<Record<string, () => Promise<Subject>>> = {
  "no check (the floor)": startFloor,
  "one RPC per check": () => startQuietAgent("--coalesce-checks", "false"),
  "equal checks share an RPC": () => startQuietAgent(),
};

/** Its log is written, as in production, but nobody here has to read it. */
const QUIET = ["sh", "-c", 'exec "$@" 2>/dev/null', "sh"];

/** Starts the agent as the tests do. */
export async function startQuietAgent(...flags: string[]): Promise<AgentProcess> {
  return await startAgent({ flags, wrapper: QUIET });
}

async function startFloor(): Promise<Subject> {
  const bundle = `${ROOT}dist/bench/floor_agent.mjs`;
  await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--minify", "-o", bundle, "tools/bench/floor_agent.ts"],
    cwd: ROOT,
  }).output();
  const port = freePort();
  const [program = "", ...args] = [...QUIET, Deno.execPath(), ...runArguments(), bundle];
  const process = new LabProcess(program, { args: [...args, `${port}`] });
  await eventually("the floor to accept", async () => {
    const client = await LineClient.open(port).catch(() => undefined);
    client?.close();
    return client !== undefined;
  }, { timeoutMs: 15_000 });
  return { pid: process.pid, port, [Symbol.asyncDispose]: () => process[Symbol.asyncDispose]() };
}
