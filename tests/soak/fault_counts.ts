import type { FaultRecord } from "./faults.ts";
import type { FleetMember } from "./fleet.ts";
import type { FaultCount } from "./result.ts";

/** @returns how often each kind of fault has happened, those that did not happen too */
export function faultCounts(
  members: readonly FleetMember[],
  records: readonly FaultRecord[],
): FaultCount[] {
  const times = countBy(records.map(({ fault }) => fault));
  const kinds = new Map(
    members.flatMap(({ faults }) => faults).map(({ name, truth }) => [name, truth]),
  );
  return Array.from(kinds, ([name, truth]) => ({ name, truth, times: times[name] ?? 0 }));
}

/** @returns how often each value is there */
export function countBy(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
