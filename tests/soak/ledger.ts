import { type DurationSummary, summarize } from "../lab/testing/durations.ts";
import type { AskedCheck, Manner } from "./asker.ts";
import type { CoreWaits } from "./core_waits.ts";
import {
  type Bounds,
  type Delays,
  instantsOf,
  judge,
  type Judgement,
  wordOf,
} from "./judgement.ts";
import type { Stalls } from "./stalls.ts";

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

/** Time for the measurement of stalls to catch up with the answer that shows one, in milliseconds. */
const STALL_SEEN_MS = 50;

/** How far back a finding tells what the backend was, in milliseconds. */
const HISTORY_MS = 10_000;

/** Findings that are kept; more of them say no more. */
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
    // Before the deadline a stall delays nothing: the reply was not there to be read.
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
