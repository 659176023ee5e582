import { pointsAtBug } from "../lab/agent/agent_process.ts";
import { type DurationSummary, summarize } from "../lab/testing/durations.ts";
import type { AskedCheck, Manner } from "./asker.ts";
import {
  type Bounds,
  type Delays,
  instantsOf,
  judge,
  type Judgement,
  wordOf,
} from "./judgement.ts";
import type { CoreWaits, Stalls } from "./processor_time.ts";
import type { FaultRecord } from "./schedule.ts";

/** An answer is judged so much later that a stall that has delayed it is measured by then, in milliseconds. */
const STALL_SEEN_MS = 50;

/** How many findings are kept at most. */
const KEPT_FINDINGS = 1000;

/** Judges answers and counts them. */
export class Ledger {
  readonly counts: Record<Judgement, number> = {
    right: 0,
    unclear: 0,
    wrong: 0,
    late: 0,
    "asker_stalled": 0,
    "agent_starved": 0,
    missing: 0,
  };
  /** Everything but right and unclear answers. */
  readonly findings: Finding[] = [];
  readonly #bounds: Bounds;
  readonly #stalls: Stalls;
  readonly #agentWaits: CoreWaits;
  readonly #durations: Record<"up" | "down", number[]> = { up: [], down: [] };
  readonly #manners: Record<Manner, number> = { fresh: 0, kept: 0, pipelined: 0 };
  readonly #pending = new Set<Promise<void>>();

  constructor(bounds: Bounds, stalls: Stalls, agentWaits: CoreWaits) {
    this.#bounds = bounds;
    this.#stalls = stalls;
    this.#agentWaits = agentWaits;
  }

  /** Checks by how they were asked. */
  get manners(): Readonly<Record<Manner, number>> {
    return this.#manners;
  }

  /** Takes one check. */
  enter(check: AskedCheck): void {
    const word = wordOf(check.reply);
    this.#manners[check.manner]++;
    if (word !== undefined) this.#durations[word].push(check.receivedAt - check.sentAt);
    const judgement = this.#judge(check, { stalledMs: 0, agentWaitedMs: 0 });
    if (judgement === "right" || judgement === "unclear") {
      this.counts[judgement]++;
      return;
    }
    const pending = this.#find(check).finally(() => this.#pending.delete(pending));
    this.#pending.add(pending);
  }

  /** Waits until every check is judged. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending);
  }

  /** How long answers took, by their word. */
  latency(): Record<"up" | "down", DurationSummary> {
    return { up: summarize(this.#durations.up), down: summarize(this.#durations.down) };
  }

  #judge(check: AskedCheck, delays: Delays): Judgement {
    const states = check.target.timeline.during(...instantsOf(check, this.#bounds));
    return judge(check, states, this.#bounds, delays);
  }

  async #find(check: AskedCheck): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, STALL_SEEN_MS));
    const { sentAt, receivedAt, line, reply, localPort, target, manner } = check;
    // A stall before the deadline does not explain a late reply: it was not there to be read yet.
    const stalledMs = this.#stalls.between(sentAt + this.#bounds.deadlineMs, receivedAt);
    const agentWaitedMs = this.#agentWaits.between(sentAt, receivedAt);
    const judgement = this.#judge(check, { stalledMs, agentWaitedMs });
    this.counts[judgement]++;
    if (this.findings.length >= KEPT_FINDINGS) return;
    const states = target.timeline.during(sentAt - HISTORY_MS, receivedAt)
      .map(({ at, state, why }) => `${state} from ${(at - sentAt).toFixed(0)} ms: ${why}`);
    this.findings.push({
      judgement,
      time: new Date(performance.timeOrigin + sentAt).toISOString(),
      ...{ sentAt, target: target.name, backend: target.backend, manner, localPort, line, reply },
      elapsedMs: receivedAt - sentAt,
      stalledMs: this.#stalls.between(sentAt, receivedAt),
      agentWaitedMs,
      states,
    });
  }
}

/** An answer that is not as it should be, with what is needed to explain it. */
export interface Finding {
  readonly judgement: Judgement;
  /** Wall-clock time of the line, ISO 8601. */
  readonly time: string;
  /** Of `performance.now()`. */
  readonly sentAt: number;
  readonly target: string;
  readonly backend: string;
  readonly manner: Manner;
  readonly localPort: number;
  readonly line: string;
  readonly reply: string | undefined;
  readonly elapsedMs: number;
  /** For how long of it the asker itself did not run, in milliseconds. */
  readonly stalledMs: number;
  /** For how long of it the agent was ready to run and had no core, in milliseconds. */
  readonly agentWaitedMs: number;
  /** The states of the last ten seconds: how many milliseconds before the line each began. */
  readonly states: readonly string[];
}

/** A finding with what else was seen. */
export interface ExplainedFinding extends Finding {
  /** What was happening to the backend, with times from the line on. */
  readonly faults: readonly string[];
  /** Lines of the agent's log. */
  readonly log: readonly string[];
}

/** How far back a finding tells what the backend was and what happened to it, in milliseconds. */
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

/** A check whose log lines are wanted. */
export interface Sought {
  readonly localPort: number;
  /** ISO 8601. */
  readonly time: string;
  readonly elapsedMs: number;
}

/** How far the clocks of line and log line may be apart, in milliseconds. */
const SLACK_MS = 1000;

/**
 * Reads the agent's log once.
 *
 * @returns the lines that point at a bug of the agent, and for each check that is sought the lines of its
 * connection
 */
export async function readAgentLog(
  path: string,
  sought: readonly Sought[],
): Promise<{ bugs: string[]; lines: Map<Sought, string[]> }> {
  const bugs: string[] = [];
  const lines = new Map<Sought, string[]>(sought.map((check) => [check, []]));
  const byPort = Map.groupBy(sought, ({ localPort }) => `127.0.0.1:${localPort}`);
  for await (const line of linesOf(path)) {
    if (pointsAtBug(line)) bugs.push(line);
    const [, peer = ""] = /"peer":"([^"]+)"/.exec(line) ?? [];
    for (const check of byPort.get(peer) ?? []) {
      const [, time = ""] = /"timestamp":"([^"]+)"/.exec(line) ?? [];
      const after = Date.parse(time) - Date.parse(check.time);
      if (after > -SLACK_MS && after < check.elapsedMs + SLACK_MS) lines.get(check)?.push(line);
    }
  }
  return { bugs, lines };
}

async function* linesOf(path: string): AsyncGenerator<string> {
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 16);
  const decoder = new TextDecoder();
  let rest = "";
  for (let count; (count = await file.read(buffer)) !== null;) {
    const lines = (rest + decoder.decode(buffer.subarray(0, count), { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}
