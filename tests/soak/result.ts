import type { Surroundings } from "../lab/machine/surroundings.ts";
import type { DurationSummary } from "../lab/testing/durations.ts";
import type { Flatness } from "./flatness.ts";
import type { Bounds, Judgement } from "./judgement.ts";
import type { Finding } from "./ledger.ts";
import type { ProcessorUse } from "./processor_time.ts";
import type { Sample } from "./samples.ts";

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
  /** Implementations that could not run, with the reason. */
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
  readonly truth: string;
  readonly times: number;
}

/** A finding with what else was seen. */
export interface ExplainedFinding extends Finding {
  /** What was happening to the backend, with times from the line on. */
  readonly faults: readonly string[];
  /** Lines of the agent's log. */
  readonly log: readonly string[];
}
