import type { FaultRecord } from "./faults.ts";
import type { Finding } from "./ledger.ts";
import type { ExplainedFinding } from "./result.ts";

/** How far back faults are told, in milliseconds. */
const HISTORY_MS = 10_000;

/** Adds to a finding what was happening to its backend, and what the agent's log says. */
export function explain(
  finding: Finding,
  records: readonly FaultRecord[],
  log: readonly string[],
): ExplainedFinding {
  const { sentAt, elapsedMs, backend } = finding;
  const faults = records
    .filter((record) => record.backend === backend)
    .filter(({ from, to = Infinity }) => from <= sentAt + elapsedMs && to >= sentAt - HISTORY_MS)
    .map(({ fault, from, to }) => {
      const end = to === undefined ? "later" : `${(to - sentAt).toFixed(0)} ms`;
      return `${fault}: from ${(from - sentAt).toFixed(0)} ms to ${end}`;
    });
  return { ...finding, faults, log };
}
