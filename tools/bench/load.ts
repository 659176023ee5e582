import { LabProcess } from "../../tests/lab/machine/lab_process.ts";
import { processorMs } from "../../tests/lab/machine/process_state.ts";
import { type DurationSummary, summarize } from "../../tests/lab/testing/durations.ts";
import { type Memory, memoryOf } from "./memory.ts";

/** What the load generator is to do. */
export interface LoadOrder {
  /** Of the agent. */
  readonly port: number;
  readonly backendPort: number;
  /** One for each check, as HAProxy has it, or the same for all. */
  readonly connections: "fresh" | "kept";
  /** How many ask at once. */
  readonly atOnce: number;
  /** How many backends are asked about, in turn: addresses of loopback. */
  readonly targets: number;
  /** How many checks a second; as many as are answered where it is not given. */
  readonly perSecond?: number;
  /** How long; where it is 0, until each target was asked about once. */
  readonly seconds: number;
}

/** What it prints. */
export interface LoadReport {
  /** Of each check, in milliseconds; with the connection's making where that is fresh. */
  readonly durations: readonly number[];
  /** Answers that were not `up`. */
  readonly failures: number;
  readonly seconds: number;
  /** Its own processor time. */
  readonly processorMs: number;
}

/** What came of it. */
export interface LoadResult {
  readonly checksPerSecond: number;
  readonly durations: DurationSummary;
  /** Processor time of the process that answered, a check, in microseconds. */
  readonly cpuUs: number;
  /** Of the process that answered, right after the load. */
  readonly memory: Memory;
  /** How many cores the load generator kept busy: near 1, and it was what bounded the rate. */
  readonly generatorCores: number;
}

const PROGRAM = new URL("./load_process.ts", import.meta.url).pathname;
const UP = 0x75;

/** Whether a reply begins as `up` does. */
export function isAnswerUp(reply: Uint8Array): boolean {
  return reply[0] === UP;
}

/** @returns the address of a target: 127.1.0.1 and those that follow, all of them one machine's */
export function targetAddress(index: number): string {
  const number = index + 1;
  return `127.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
}

/**
 * Asks for a while.
 *
 * @param pid the process that answers
 * @throws {Error} when an answer is not `up`: then something else was measured than was meant
 */
export async function load(order: LoadOrder, pid: number): Promise<LoadResult> {
  await using generator = new LabProcess(Deno.execPath(), {
    // Everything is allowed, for Deno gives no part of /proc for less.
    args: ["run", "--quiet", "--no-config", "--allow-all", PROGRAM, JSON.stringify(order)],
  });
  const before = processorMs(pid);
  await generator.exited;
  const cpuMs = processorMs(pid) - before;
  const [line] = generator.stdout.lines;
  if (line === undefined) {
    const { code, signal } = await generator.exited;
    throw new Error(generator.stderr.lines[0] ?? `the load generator ended with ${signal ?? code}`);
  }
  const { durations, failures, seconds, processorMs: generatorMs } = JSON.parse(line) as LoadReport;
  if (failures > 0) throw new Error(`${failures} of ${durations.length} answers were not up`);
  return {
    checksPerSecond: durations.length / seconds,
    durations: summarize(durations),
    cpuUs: cpuMs * 1000 / durations.length,
    memory: memoryOf(pid),
    generatorCores: generatorMs / 1000 / seconds,
  };
}
