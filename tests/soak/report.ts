import type { Surroundings } from "../lab/machine/surroundings.ts";
import type { DurationSummary } from "../lab/testing/durations.ts";
import type { FleetMember } from "./fleet.ts";
import type { Bounds, Judgement } from "./judgement.ts";
import type { ExplainedFinding } from "./ledger.ts";
import type { ProcessorUse } from "./processor_time.ts";
import type { Flatness, Sample } from "./samples.ts";
import type { FaultRecord } from "./schedule.ts";

/** What came of a soak. */
export interface SoakResult {
  /** ISO 8601. */
  readonly started: string;
  readonly surroundings: Surroundings;
  readonly minutes: number;
  readonly seed: number;
  /** Checks a second. */
  readonly rate: number;
  /** How many there are, by their kind. */
  readonly backends: Readonly<Record<string, number>>;
  /** Libraries whose backends could not run, with the reason. */
  readonly missing: readonly string[];
  readonly bounds: Bounds;
  readonly counts: Readonly<Record<Judgement, number>>;
  /** Checks by how they were asked. */
  readonly manners: Readonly<Record<string, number>>;
  readonly latency: Readonly<Record<"up" | "down", DurationSummary>>;
  readonly faults: readonly FaultCount[];
  readonly hostileVisits: number;
  /** Delays of the asker's own event loop. */
  readonly askerDelay: DurationSummary;
  readonly processors: ProcessorUse;
  /** `check_errors_total` at the end, by `error_type`. */
  readonly agentErrors: Readonly<Record<string, number>>;
  /** The agent before the first check, and when nothing was left to do. */
  readonly before: Sample;
  readonly after: Sample;
  readonly flatness: readonly Flatness[];
  /** Everything that makes it a failure, in words. */
  readonly problems: readonly string[];
  readonly findings: readonly ExplainedFinding[];
  readonly samples: readonly Sample[];
}

/** A kind of fault, with how often it has happened. */
export interface FaultCount {
  readonly name: string;
  readonly expected: string;
  readonly times: number;
}

/** @returns how often each kind of fault has happened, those that did not happen too */
export function faultCounts(
  members: readonly FleetMember[],
  records: readonly FaultRecord[],
): FaultCount[] {
  const times = countBy(records.map(({ fault }) => fault));
  const kinds = new Map(
    members.flatMap(({ faults }) => faults).map(({ name, expected }) => [name, expected]),
  );
  return Array.from(kinds, ([name, expected]) => ({ name, expected, times: times[name] ?? 0 }));
}

/** @returns how often each value is there */
export function countBy(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

/** Findings that are told in full on the terminal; the file has them all. */
const TOLD = 20;

/** @returns the result for people at a terminal */
export function formatReport(result: SoakResult): string {
  const figures = [...figuresOfRun(result), ...figuresOfAnswers(result)];
  const width = Math.max(...figures.map(([name]) => name.length));
  const { missing, findings, problems } = result;
  return [
    ...missing.map((reason) => `Not there: ${reason}`),
    ...figures.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    "",
    ...findings.slice(0, TOLD).map(formatFinding),
    ...findings.length > TOLD ? [`... and ${findings.length - TOLD} more`] : [],
    ...problems.length === 0
      ? ["Every answer was right and in time."]
      : problems.map((problem) => `FAILED: ${problem}`),
  ].join("\n");
}

/** @returns one finding, with what explains it on lines of its own */
function formatFinding(finding: ExplainedFinding): string {
  const { judgement, time, target, manner, line, reply } = finding;
  const { elapsedMs, stalledMs, agentWaitedMs } = finding;
  const answer = reply === undefined ? "no answer" : JSON.stringify(reply);
  return [
    `${judgement.toUpperCase()} ${time} ${target} (${manner}): ${line} -> ${answer} ` +
    `after ${elapsedMs.toFixed(1)} ms; of them the asker did not run for ${
      stalledMs.toFixed(1)
    } ms, ` +
    `the agent had no core for ${agentWaitedMs.toFixed(1)} ms`,
    ...finding.states.map((state) => `    ${state}`),
    ...finding.faults.map((fault) => `    fault: ${fault}`),
    ...finding.log.map((entry) => `    log: ${entry}`),
  ].join("\n");
}

/** A figure of a soak for people: what it is, and its value. */
export type Figure = readonly [name: string, value: string];

/** @returns what a soak ran with and on, and how it was started */
export function figuresOfRun(result: SoakResult): Figure[] {
  const { surroundings, started, minutes, seed, rate, backends } = result;
  const { agent, deno, grpcJs, grpcio, grpcGo, kernel, processors, memoryGb } = surroundings;
  const others = [
    ...grpcio === undefined ? [] : [`gRPC's C core ${grpcio}`],
    ...grpcGo === undefined ? [] : [`grpc-go ${grpcGo}`],
  ];
  return [
    ["begun", started],
    ["command", `deno task soak --minutes ${minutes} --seed ${seed}`],
    ["agent", `commit ${agent}`],
    ["versions", [`Deno ${deno}`, `grpc-js ${grpcJs}`, ...others, `Linux ${kernel}`].join(", ")],
    ["machine", `${processors}, ${memoryGb} GB`],
    ["load", `${rate} checks/s (${list(result.manners)}), ${result.hostileVisits} hostile clients`],
    ["backends", list(backends)],
  ];
}

/** @returns how the answers were, and how the agent fared */
export function figuresOfAnswers(result: SoakResult): Figure[] {
  const { counts, latency, before, after, processors, askerDelay, faults, bounds } = result;
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const happened = faults.reduce((sum, { times }) => sum + times, 0);
  const cores = [processors.freeCores, processors.agentCores, processors.askerCores];
  const memory = [before.residentMb, after.peakMb, after.residentMb];
  return [
    ["faults", `${happened} of ${faults.filter(({ times }) => times > 0).length} kinds`],
    ["checks", `${total}`],
    ["wrong answers", `${counts.wrong}`],
    ["missing answers", `${counts.missing}`],
    [`late answers (> ${bounds.deadlineMs} + ${bounds.graceMs} ms)`, `${counts.late}`],
    ["late only because the asker stood still", `${counts.asker_stalled}`],
    ["late or timed out because the agent had no core", `${counts.agent_starved}`],
    ["given while a backend was changing", `${counts.unclear} (${percent(counts.unclear, total)})`],
    ["time to up", milliseconds(latency.up)],
    ["time to down", milliseconds(latency.down)],
    ["error types", list(result.agentErrors)],
    ["memory at first, at most, at the end", memory.map((mb) => `${mb.toFixed(1)} MB`).join(", ")],
    ...result.flatness.map(flatness),
    ["descriptors at first, at the end", `${before.descriptors}, ${after.descriptors}`],
    ["timers at first, at the end", `${before.timers}, ${after.timers}`],
    [
      "channels, connections, checks at the end",
      `${after.channels}, ${after.connections}, ${after.checks}`,
    ],
    ["the asker's event loop came late by", milliseconds(askerDelay)],
    ["cores: free, agent, asker", cores.map((share) => share.toFixed(2)).join(", ")],
  ];
}

function flatness({ figure, early, late, bound }: Flatness): Figure {
  const numbers = `${early.toFixed(1)}, ${late.toFixed(1)} (at most ${bound.toFixed(1)})`;
  return [`${FIGURE_NAMES[figure]}, medians of 2nd and last quarter`, numbers];
}

const FIGURE_NAMES: Record<Flatness["figure"], string> = {
  residentMb: "memory (MB)",
  descriptors: "descriptors",
  timers: "timers",
  channels: "channels",
  threads: "threads",
};

function list(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).filter(([, count]) => count > 0)
    .map(([name, count]) => `${name} ${count}`).join(", ");
}

function milliseconds({ p50, p99, max }: DurationSummary): string {
  return `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)} ms`;
}

function percent(part: number, whole: number): string {
  return `${(100 * part / Math.max(1, whole)).toFixed(2)} %`;
}
