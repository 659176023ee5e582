import {
  type HealthBackend,
  startHealthBackend,
} from "../../tests/lab/backends/libraries/health_backend.ts";
import { goProblem, startGoBackend } from "../../tests/lab/backends/libraries/library_backends.ts";
import { median } from "../../tests/lab/testing/durations.ts";
import { load, type LoadResult } from "./load.ts";
import type { Memory } from "./memory.ts";
import { type Group, isSelected, type Row } from "./rows.ts";
import { FLOOR, type Subject, type SubjectKind } from "./subjects.ts";

/** What one subject did under one row's load. Medians of the rounds. */
export interface Figures {
  /** The name of the row. */
  readonly row: string;
  readonly subject: string;
  readonly title: string;
  readonly checksPerSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Microseconds a check. */
  readonly cpuUs: number;
  /** The least and the most of the rounds. */
  readonly cpuUsRange: readonly [number, number];
  /** `cpuUs` over that of the floor, in the same rounds. */
  readonly overFloor: number;
  /** After the last round, in megabytes of 2^20 bytes: VmRSS, and the most that it was so far. */
  readonly memory: Pick<Memory, "resident" | "peak">;
  readonly generatorCores: number;
}

/** A subject that did not come through a row. */
export interface Failure extends Pick<Figures, "row" | "subject" | "title"> {
  readonly reason: string;
}

/** How much is measured. */
export interface Effort {
  /** Of each load, each round; a row may take longer ({@linkcode Row.length}). */
  readonly seconds: number;
  readonly rounds: number;
  /** How long each subject is warmed up, all its rows together. */
  readonly warmUpSeconds: number;
}

/** All that was measured. */
export interface Comparison {
  /** The library that the backend is made with. */
  readonly backend: string;
  readonly figures: readonly Figures[];
  readonly failures: readonly Failure[];
}

/** One subject under one row's load. */
interface Cell {
  readonly row: Row;
  readonly kind: SubjectKind;
  readonly subject: Subject;
  readonly backendPort: number;
  readonly results: LoadResult[];
  failure?: string;
}

/**
 * Puts each load on each subject in turn, again and again, so that what disturbs the machine disturbs
 * all of them alike.
 *
 * @param kinds the subjects beside the floor
 * @param only the rows and subjects that were asked for, as {@linkcode isSelected} reads them
 */
export async function compare(
  groups: readonly Group[],
  kinds: readonly SubjectKind[],
  only: readonly string[],
  effort: Effort,
  onProgress: (line: string) => void,
): Promise<Comparison> {
  const figures: Figures[] = [];
  const failures: Failure[] = [];
  for (const group of groups) {
    await using stack = new AsyncDisposableStack();
    const cells: Cell[] = [];
    for (const kind of [FLOOR, ...kinds]) {
      const rows = group.filter(({ name, subjects }) =>
        kind === FLOOR || kind.takesPart(subjects) && isSelected(name, kind.name, only)
      );
      if (rows.length === 0) continue;
      // A backend for each: no one process could hold the connections of all subjects.
      const { port: backendPort } = stack.use(await startBackend());
      const subject = stack.use(await kind.start());
      const own = rows.map((row) => ({ row, kind, subject, backendPort, results: [] }));
      await warmUp(own, effort);
      cells.push(...own);
    }
    for (let round = 1; round <= effort.rounds; round++) {
      for (const row of group) {
        for (const cell of cells) {
          if (cell.row === row) await measure(cell, effort);
        }
        onProgress(`${row.name}, round ${round} of ${effort.rounds}`);
      }
    }
    for (const row of group) {
      const own = cells.filter((cell) => cell.row === row);
      figures.push(...figuresOf(own.filter(({ failure }) => failure === undefined)));
      failures.push(...own.flatMap(failureOf));
    }
  }
  return { backend: BACKEND, figures, failures };
}

/** grpc-go where the machine has it: it takes least of the cores that the agent and its backend share. */
const BACKEND = goProblem() === undefined ? "grpc-go" : "grpc-js";

async function startBackend(): Promise<HealthBackend> {
  const options = { host: "0.0.0.0" };
  return BACKEND === "grpc-go" ? await startGoBackend(options) : await startHealthBackend(options);
}

/**
 * Has a subject compiled, and connected to all its targets, so that no round tells of that. It sees
 * no other load than its rows have, so that its memory is theirs.
 */
async function warmUp(cells: Cell[], { warmUpSeconds }: Effort): Promise<void> {
  const [first] = cells;
  if (first === undefined) return;
  try {
    await ask(first, 0);
    if (warmUpSeconds === 0) return;
    for (const cell of cells) await ask(cell, warmUpSeconds / cells.length);
  } catch (error) {
    for (const cell of cells) cell.failure = `at its first checks: ${(error as Error).message}`;
  }
}

async function measure(cell: Cell, effort: Effort): Promise<void> {
  if (cell.failure !== undefined) return;
  try {
    cell.results.push(await ask(cell, effort.seconds * (cell.row.length ?? 1)));
  } catch (error) {
    cell.failure = (error as Error).message;
  }
}

async function ask({ row, subject, backendPort }: Cell, seconds: number) {
  return await load({ ...row, port: subject.port, backendPort, seconds }, subject.pid);
}

/** @param cells those of one row, the floor first */
function figuresOf(cells: readonly Cell[]): Figures[] {
  const [floor] = cells;
  return cells.map(({ row, kind, results }) => {
    const middle = (value: (result: LoadResult) => number) => median(results.map(value));
    const cpu = results.map(({ cpuUs }) => cpuUs);
    return {
      row: row.name,
      subject: kind.name,
      title: kind.title,
      checksPerSecond: middle((result) => result.checksPerSecond),
      p50: middle(({ durations }) => durations.p50),
      p99: middle(({ durations }) => durations.p99),
      cpuUs: median(cpu),
      cpuUsRange: [Math.min(...cpu), Math.max(...cpu)],
      overFloor: median(cpu.map((us, round) => us / (floor?.results[round]?.cpuUs ?? NaN))),
      memory: {
        resident: results.at(-1)?.memory.resident ?? NaN,
        peak: results.at(-1)?.memory.peak ?? NaN,
      },
      generatorCores: middle((result) => result.generatorCores),
    };
  });
}

function failureOf({ row, kind, failure }: Cell): Failure[] {
  if (failure === undefined) return [];
  return [{ row: row.name, subject: kind.name, title: kind.title, reason: failure }];
}
