import type { DurationSummary } from "../lab/testing/durations.ts";
import type { Flatness } from "./flatness.ts";
import type { SoakResult } from "./result.ts";

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
