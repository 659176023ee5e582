import { startHealthBackend } from "../../tests/lab/health_backend.ts";
import { median } from "../soak/durations.ts";
import { load, type LoadOrder, type LoadResult } from "./load.ts";
import { type Memory, memoryOf } from "./memory.ts";
import { type Subject, SUBJECTS } from "./subjects.ts";

/** One row: a way to answer under one kind of load. Medians of the rounds. */
export interface Row extends Pick<LoadOrder, "connections" | "atOnce"> {
  readonly subject: string;
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
  readonly generatorCores: number;
}

/** How the rounds went. */
export interface Comparison {
  readonly rows: readonly Row[];
  /** After all rounds, by subject. */
  readonly memory: Readonly<Record<string, Memory>>;
}

/** How much is measured. */
export interface Effort {
  /** Of each load, each round. */
  readonly seconds: number;
  readonly rounds: number;
}

const LOADS = (["kept", "fresh"] as const).flatMap((connections) =>
  [1, 16, 64].map((atOnce) => ({ connections, atOnce }))
);

/**
 * Puts each load on each subject in turn, again and again, so that what disturbs the machine disturbs
 * all of them alike. One round before those that count warms them up.
 */
export async function compare(
  { seconds, rounds }: Effort,
  onProgress: (line: string) => void,
): Promise<Comparison> {
  await using backend = await startHealthBackend();
  await using stack = new AsyncDisposableStack();
  const subjects = new Map<string, Subject>();
  for (const [name, start] of Object.entries(SUBJECTS)) {
    subjects.set(name, stack.use(await start()));
  }
  const results = new Map<string, LoadResult[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const shape of LOADS) {
      for (const [name, { port, pid }] of subjects) {
        const order = { ...shape, port, line: backend.line(), seconds: round === 0 ? 1 : seconds };
        const result = await load(order, [pid]);
        if (round === 0) continue;
        const key = keyOf(name, shape);
        results.set(key, [...results.get(key) ?? [], result]);
      }
    }
    onProgress(`round ${round} of ${rounds}`);
  }
  const rows = LOADS.flatMap((shape) => {
    const floor = results.get(keyOf(Object.keys(SUBJECTS)[0] ?? "", shape)) ?? [];
    return [...subjects.keys()].map((name) =>
      rowOf(name, shape, results.get(keyOf(name, shape)) ?? [], floor)
    );
  });
  const memory = Object.fromEntries(
    Array.from(subjects, ([name, { pid }]) => [name, memoryOf(pid)]),
  );
  return { rows, memory };
}

type Shape = (typeof LOADS)[number];

function keyOf(subject: string, { connections, atOnce }: Shape): string {
  return `${subject} ${connections} ${atOnce}`;
}

function rowOf(
  subject: string,
  shape: Shape,
  results: readonly LoadResult[],
  floor: readonly LoadResult[],
): Row {
  const middle = (value: (result: LoadResult) => number) => median(results.map(value));
  const cpu = results.map(({ cpuUs }) => cpuUs);
  return {
    subject,
    ...shape,
    checksPerSecond: middle((result) => result.checksPerSecond),
    p50: middle(({ durations }) => durations.p50),
    p99: middle(({ durations }) => durations.p99),
    cpuUs: median(cpu),
    cpuUsRange: [Math.min(...cpu), Math.max(...cpu)],
    overFloor: median(results.map((result, round) => result.cpuUs / (floor[round]?.cpuUs ?? NaN))),
    generatorCores: middle((result) => result.generatorCores),
  };
}
