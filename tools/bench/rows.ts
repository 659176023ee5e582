import type { LoadOrder } from "./load.ts";

/** One kind of load; a row of the table for each subject that takes part. */
export interface Row extends Omit<LoadOrder, "port" | "backendPort" | "seconds"> {
  /** What `--only` names it by. */
  readonly name: string;
  /** The subjects that take part, by name; the floor and `--beside` do in every row. */
  readonly subjects: readonly string[];
  /** How much longer than others it is measured: where few checks are made, few ticks are counted. */
  readonly length?: number;
}

/**
 * Rows whose subjects are the same processes, one row after the other. Where a row leaves something
 * behind that the next would notice, such as connections to 10,000 backends, it has its own.
 */
export type Group = readonly Row[];

const EACH = ["rpc", "grpc-js"];
const EACH_AND_SHARED = ["rpc", "shared", "grpc-js"];

/** How many ask at once. */
const AT_ONCE = [1, 16, 64, 1000];

/** How many backends there are. */
const TARGETS = [1, 100, 10_000];

/** More connections than this are not grpc-js' business: each costs it some 50 kB and 2 ms. */
const MOST_OF_GRPC_JS = 100;

const connections: Group = (["fresh", "kept"] as const).flatMap((kind) =>
  AT_ONCE.map((atOnce) => ({
    name: `${kind}-${atOnce}`,
    connections: kind,
    atOnce,
    targets: 1,
    subjects: atOnce === 16 ? [...EACH_AND_SHARED, "default"] : EACH_AND_SHARED,
  }))
);

const targets: readonly Group[] = TARGETS.map((count) => [{
  name: `targets-${count}`,
  connections: "fresh",
  atOnce: 16,
  targets: count,
  subjects: count > MOST_OF_GRPC_JS ? ["rpc"] : EACH,
}]);

/** What most installations have, and what memory is judged at. */
const steady: Group = [{
  name: "rate-100",
  connections: "fresh",
  atOnce: 1,
  targets: 1,
  perSecond: 100,
  subjects: [...EACH, "default"],
  length: 4,
}];

/** All there is to measure. */
export const GROUPS: readonly Group[] = [connections, ...targets, steady];

/**
 * Leaves out what was not asked for.
 *
 * @param only names of rows, `ROW` or `ROW/SUBJECT`; none means all
 * @throws {Error} when there is no such row
 */
export function selectRows(groups: readonly Group[], only: readonly string[]): Group[] {
  const names = groups.flat().map(({ name }) => name);
  for (const wanted of only) {
    if (!names.includes(rowOf(wanted))) {
      throw new Error(`--only ${wanted}: no such row; there are ${names.join(", ")}`);
    }
  }
  if (only.length === 0) return [...groups];
  return groups
    .map((group) => group.filter(({ name }) => only.some((wanted) => rowOf(wanted) === name)))
    .filter((group) => group.length > 0);
}

/** Whether a subject was asked for in a row; the floor always is, for the others are held against it. */
export function isSelected(row: string, subject: string, only: readonly string[]): boolean {
  return only.length === 0 || only.includes(row) || only.includes(`${row}/${subject}`);
}

function rowOf(wanted: string): string {
  return wanted.split("/", 1)[0] ?? "";
}
