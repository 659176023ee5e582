import { LabProcess } from "../../tests/lab/lab_process.ts";
import { type DurationSummary, summarize } from "../soak/durations.ts";
import { processorMs } from "./processor_ms.ts";

/** What the load generator is to do. */
export interface LoadOrder {
  readonly port: number;
  /** The line, with its end. */
  readonly line: string;
  /** One for each check, as HAProxy has it, or the same for all. */
  readonly connections: "fresh" | "kept";
  /** How many ask at once. */
  readonly atOnce: number;
  readonly seconds: number;
}

/** What it prints. */
export interface LoadReport {
  /** Of each check, in milliseconds; with the connection's making where that is fresh. */
  readonly durations: readonly number[];
  /** Answers that were not `up`. */
  readonly failures: number;
  readonly seconds: number;
}

/** What came of it. */
export interface LoadResult {
  readonly checksPerSecond: number;
  readonly durations: DurationSummary;
  /** Processor time of those that answered, a check, in microseconds. */
  readonly cpuUs: number;
  /** How many cores the load generator kept busy: near 1, and it was what bounded the rate. */
  readonly generatorCores: number;
}

const PROGRAM = new URL("./load_process.ts", import.meta.url).pathname;
const UP = 0x75;

/** Whether a reply begins as `up` does. */
export function isAnswerUp(reply: Uint8Array): boolean {
  return reply[0] === UP;
}

/**
 * Asks for a while.
 *
 * @param pids the processes that answer, together
 * @throws {Error} when an answer is not `up`: then something else was measured than was meant
 */
export async function load(order: LoadOrder, pids: readonly number[]): Promise<LoadResult> {
  await using generator = new LabProcess(Deno.execPath(), {
    args: ["run", "--quiet", "--no-config", "--allow-net", PROGRAM, JSON.stringify(order)],
  });
  const before = pids.reduce((sum, pid) => sum + processorMs(pid), 0);
  let generatorMs = 0;
  const watch = setInterval(() => generatorMs = processorMs(generator.pid) || generatorMs, 100);
  try {
    await generator.exited;
  } finally {
    clearInterval(watch);
  }
  const cpuMs = pids.reduce((sum, pid) => sum + processorMs(pid), 0) - before;
  const [line = "{}"] = generator.stdout.lines;
  const { durations, failures, seconds } = JSON.parse(line) as LoadReport;
  if (failures > 0) throw new Error(`${failures} of ${durations.length} answers were not up`);
  return {
    checksPerSecond: durations.length / seconds,
    durations: summarize(durations),
    cpuUs: cpuMs * 1000 / durations.length,
    generatorCores: generatorMs / 1000 / seconds,
  };
}
