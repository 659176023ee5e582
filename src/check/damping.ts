import { LruMap } from "../lru_map.ts";
import type { AgentState } from "../protocol/reply.ts";
import { type BackendVerdict, keptVerdict, meaningOf } from "../protocol/verdict.ts";

/** A backend that nobody has asked about for so long is forgotten, in milliseconds. */
const FORGET_AFTER_MS = 10 * 60_000;

/** An answer younger than this, in milliseconds, is repeated where the agent itself cannot ask. */
const REPEATABLE_MS = 60_000;

/** How many clients and lines are remembered. */
const MAX_REMEMBERED = 50_000;

/** How many checks in a row change what is said of a backend. */
export interface Thresholds {
  /** Failed checks that take it down, 1 to 100. */
  readonly fall: number;
  /** Good checks that bring it up again, 1 to 100. */
  readonly rise: number;
}

/** What is said of a backend, and how near that is to a change. */
export interface Standing {
  /** What HAProxy is told. */
  readonly state: AgentState;
  /** What the last checks say, while they are too few to count; otherwise the same as `state`. */
  readonly pending: AgentState;
  /** How many checks in a row have said `pending`. */
  readonly streak: number;
  /** How many it takes. */
  readonly needed: number;
}

/**
 * Takes one check into account: HAProxy's `rise` and `fall`, which do not apply to its agents.
 *
 * @param before the standing so far; `undefined` for a backend not known: its first verdict counts at once
 * @param state what the check by itself says
 * @param atOnce whether it counts without waiting: what a backend says of itself, and a denied target
 */
export function damp(
  before: Standing | undefined,
  state: AgentState,
  atOnce: boolean,
  { fall, rise }: Thresholds,
): Standing {
  const settled = { state, pending: state, streak: 0, needed: 0 };
  if (before === undefined || atOnce || state === before.state) return settled;
  const streak = before.pending === state ? before.streak + 1 : 1;
  const needed = state === "up" ? rise : fall;
  return streak >= needed ? settled : { state: before.state, pending: state, streak, needed };
}

/** @returns how near a change is, for people: `1 of 3 failures`; empty when none is near */
export function describeStanding({ pending, streak, needed }: Standing): string {
  if (streak === 0) return "";
  return `${streak} of ${needed} ${pending === "up" ? "good checks" : "failures"}`;
}

/** What was said last to a client that sent a line. */
export interface LastAnswer {
  readonly verdict: BackendVerdict;
  readonly standing: Standing;
}

interface Known extends LastAnswer {
  /** The run that was taken into account last. */
  readonly run: number;
  readonly at: number;
}

/**
 * What is said to each client that sends a line: three HAProxies that each see one failure have not seen
 * three in a row. Outlives changes of the configuration.
 */
export class Damping {
  readonly #now: () => number;
  readonly #known = new LruMap<string, Known>(MAX_REMEMBERED);

  /** @param now a clock in milliseconds that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Takes one check into account; see {@linkcode damp}.
   *
   * @param key of the client and its line
   * @param run which RPC the check has come from: it counts once, however many checks share it; 0 for none
   * @param state what the verdict by itself says
   */
  judge(
    key: string,
    run: number,
    verdict: BackendVerdict,
    state: AgentState,
    thresholds: Thresholds,
  ): Standing {
    const now = this.#now();
    const known = this.#known.get(key);
    const before = known !== undefined && now - known.at < FORGET_AFTER_MS ? known : undefined;
    const standing = before !== undefined && run !== 0 && before.run === run
      ? before.standing
      : damp(before?.standing, state, meaningOf(verdict).countsAtOnce, thresholds);
    this.#known.set(key, { verdict: keptVerdict(verdict), standing, run, at: now });
    return standing;
  }

  /** @returns the answer of the last minute, if there was one */
  lastAnswer(key: string): LastAnswer | undefined {
    const known = this.#known.get(key);
    return known !== undefined && this.#now() - known.at < REPEATABLE_MS ? known : undefined;
  }
}
