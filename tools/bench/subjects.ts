import {
  AGENT_COMMAND,
  type AgentProcess,
  startAgent,
} from "../../tests/lab/agent/agent_process.ts";
import { LineClient } from "../../tests/lab/clients/line_client.ts";
import { freePort } from "../../tests/lab/machine/free_port.ts";
import { LabProcess } from "../../tests/lab/machine/lab_process.ts";
import { eventually } from "../../tests/lab/testing/eventually.ts";
import { ROOT } from "../../tests/lab/testing/repository.ts";
import { runArguments } from "../packaging/run_arguments.ts";

/** A running process that answers lines. */
export interface Subject extends AsyncDisposable {
  readonly pid: number;
  readonly port: number;
}

/** A way to answer. */
export interface SubjectKind {
  /** What `--only ROW/NAME` names it by. */
  readonly name: string;
  /** What the table calls it. */
  readonly title: string;
  /** Whether it takes part in a row where those named in {@linkcode Row.subjects} do. */
  takesPart(names: readonly string[]): boolean;
  start(): Promise<Subject>;
  /** Why it cannot be measured with this agent. @returns undefined when it can */
  refusal?(): Promise<string | undefined>;
}

/** What the others are held against. */
export const FLOOR: SubjectKind = {
  name: "floor",
  title: "the floor: `up`, no check",
  takesPart: () => true,
  start: startFloor,
};

/** Room for a connection to each target of the largest row. */
const CHANNELS = ["--max-channels", "20000"];
const QUIET = ["--log-level", "warn"];
const EACH = ["--coalesce-checks", "false"];

/** The agent in all its ways, with the flags of each. What the agent refuses is left out. */
export const AGENTS: readonly SubjectKind[] = [
  agentKind("rpc", "agent, an RPC each", [...CHANNELS, ...QUIET, ...EACH]),
  agentKind("shared", "agent, equal checks share", [...CHANNELS, ...QUIET]),
  agentKind("default", "agent, default settings", []),
  agentKind("grpc-js", "agent on grpc-js, an RPC each", [
    ...["--grpc-client", "grpc-js"],
    ...[...CHANNELS, ...QUIET, ...EACH],
  ]),
];

/**
 * Another agent that speaks the same protocol and takes the same flags: `NAME=COMMAND`, in two ways, as
 * the table's rows have them: with the log at warn, and in the rows with default settings as it is.
 *
 * @throws {Error} when it is not of that form
 */
export function besideKinds(value: string): SubjectKind[] {
  const [, name, command] = /^([\w.-]+)=(.+)$/s.exec(value) ?? [];
  if (name === undefined || command === undefined) {
    throw new Error(`--beside ${value}: NAME=COMMAND is wanted`);
  }
  return [
    {
      name,
      title: name,
      takesPart: () => true,
      start: () => startBeside(command, ["--log-level", "warn"]),
    },
    {
      name: `${name}-default`,
      title: `${name}, default settings`,
      takesPart: (names) => names.includes("default"),
      start: () => startBeside(command, []),
    },
  ];
}

/**
 * A cache that no other program writes to: where Deno finds its cache locked it analyses the program again,
 * for 20 MB that an installation never needs.
 */
const CACHE = { DENO_DIR: `${ROOT}dist/bench/cache` };

/** Its output is written, as in production, but nobody here has to read it. */
const UNREAD = ["sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh"];

/**
 * Starts the agent as it is measured: nobody reads its log, and its cache is its own.
 *
 * @param until as {@linkcode startAgent} has it
 */
export async function startMeasuredAgent(
  flags: string[] = [],
  until: "ready" | "port" = "ready",
): Promise<AgentProcess> {
  return await startAgent({ flags, until, wrapper: UNREAD, env: CACHE });
}

function agentKind(name: string, title: string, flags: string[]): SubjectKind {
  return {
    name,
    title,
    takesPart: (names) => names.includes(name),
    start: () => startMeasuredAgent(flags),
    refusal: () => refusalOf(flags),
  };
}

async function refusalOf(flags: readonly string[]): Promise<string | undefined> {
  const [program = "", ...args] = AGENT_COMMAND;
  const { success, stderr } = await new Deno.Command(program, {
    args: [...args, ...flags, "--check-config"],
    stdout: "null",
    env: { DENO_NO_UPDATE_CHECK: "1", ...CACHE },
  }).output();
  return success ? undefined : new TextDecoder().decode(stderr).trim().split("\n")[0];
}

/** The floor runs as the agent does, with the same flags of V8. */
async function startFloor(): Promise<Subject> {
  const bundle = `${ROOT}dist/bench/floor.mjs`;
  await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--minify", "-o", bundle, "tools/bench/floor.ts"],
    cwd: ROOT,
  }).output();
  const port = freePort();
  return await startProcess("the floor", port, [
    ...[Deno.execPath(), ...runArguments(), bundle],
    `${port}`,
  ]);
}

async function startBeside(command: string, flags: readonly string[]): Promise<Subject> {
  const port = freePort();
  // The command is the shell's to split, for it may hold arguments and quotes.
  return await startProcess(command, port, [
    ...["sh", "-c", `exec ${command} "$@"`, "sh"],
    ...["--server-bind", "127.0.0.1", "--server-port", `${port}`],
    ...["--metrics-bind", "127.0.0.1", "--metrics-port", `${freePort()}`],
    ...flags,
  ]);
}

async function startProcess(what: string, port: number, command: string[]): Promise<Subject> {
  const [program = "", ...args] = [...UNREAD, ...command];
  const process = new LabProcess(program, { args, env: CACHE });
  await eventually(`${what} to accept`, async () => {
    if (!process.running) throw new Error(`It ended at its start: ${command.join(" ")}`);
    const client = await LineClient.open(port).catch(() => undefined);
    client?.close();
    return client !== undefined;
  }, { timeoutMs: 15_000 });
  return { pid: process.pid, port, [Symbol.asyncDispose]: () => process[Symbol.asyncDispose]() };
}
