import { reasonOf } from "../describe_error.ts";
import type { AgentState } from "../protocol/reply.ts";
import type { BackendQuestion } from "../protocol/request.ts";
import {
  type AgentFailure,
  type BackendVerdict,
  describeVerdict,
  errorType,
  keptText,
} from "../protocol/verdict.ts";

/** A backend that nobody has asked about for so long is forgotten, in milliseconds. */
const FORGET_AFTER_MS = 10 * 60_000;

/** How often to look for those, in milliseconds. */
const FORGET_EVERY_MS = 60_000;

/** How many backends are remembered; beyond that those go whose last check is longest ago. */
const MAX_BACKENDS = 10_000;

/** After so long without a check that could be made, the lack is reported, in milliseconds. */
const UNASKED_LONG_MS = 60_000;

/** Why a check was not good. */
export interface Failure {
  /** When, in milliseconds of the history's clock. */
  readonly at: number;
  /** The `error_type`, or `not_serving` where the backend itself has spoken. */
  readonly type: Exclude<ReturnType<typeof errorType>, undefined> | "not_serving";
  /** The error for people. It may hold text from the wire. */
  readonly detail: string;
}

/** Why the last check could not be made, since the agent itself lacked something, and since when none could. */
export interface Unasked extends Failure {
  /** When the first of the checks in a row could not be made, in milliseconds of the history's clock. */
  readonly since: number;
}

/** What the history needs of a check that was answered. */
interface HistoricCheck {
  readonly verdict: BackendVerdict;
  /** What HAProxy was told. */
  readonly state: AgentState;
  /** What damping made of it; empty for nothing. */
  readonly note: string;
  /** From the line to the verdict, in milliseconds. */
  readonly durationMs: number;
}

/** A client that went before its answer. */
interface LastHangUp {
  /** When, in milliseconds of the history's clock. */
  readonly at: number;
  /** From the line to the hang-up, in milliseconds. */
  readonly ageMs: number;
  /** The client's address and port. */
  readonly peer: string;
}

/** What is remembered of one backend (and service). Times in milliseconds of the history's clock. */
export interface BackendRecord {
  readonly question: BackendQuestion;
  /** Ascends in the order in which the backends became known. */
  readonly number: number;
  /**
   * What HAProxy is told. Damping counts for each client by itself; the state changes here as soon as it has
   * changed for one of them. A check that could not be made leaves it as it is, and so does HAProxy.
   * `unanswered` before the first answer: every client has hung up before its own, or the agent could not ask.
   */
  readonly state: AgentState | "unanswered";
  /** When the state last changed, or when the backend was first asked about. */
  readonly since: number;
  readonly lastAskedAt: number;
  /** Who asked last. */
  readonly lastPeer: string;
  /** Whether the last check was good, whatever damping has made of it. */
  readonly lastGood: boolean;
  /** How near a change is (`1 of 3 failures`); empty when none is. */
  readonly note: string;
  readonly checks: number;
  readonly failures: number;
  /** How often the state has changed. */
  readonly changes: number;
  readonly lastFailure: Failure | undefined;
  /** Set while checks cannot be made; `checks` and `failures` do not count these. */
  readonly unasked: Unasked | undefined;
  /** Checks whose client went before the answer; `checks` does not count them. */
  readonly hangUps: number;
  readonly lastHangUp: LastHangUp | undefined;
  /** Whether the client of the last check went before the answer. */
  readonly hungUp: boolean;
  readonly durations: RecentDurations;
}

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

interface Entry extends Writable<BackendRecord> {
  /** The answer as `log_checks = "changes"` compares it. */
  answer: string;
}

/** Remembers what came of the last checks of each backend. */
export class BackendHistory {
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  #forgetAt = 0;
  #known = 0;

  /** @param now a clock in milliseconds that never goes back, as the time of day may */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Takes one check into account.
   *
   * @param peer the client's address and port
   * @returns whether the answer differs from the last one of this backend (or is the first)
   */
  add(question: BackendQuestion, check: HistoricCheck, peer: string): boolean {
    const now = this.#now();
    const entry = this.#touch(question, check.state, now);
    const { verdict, state, note } = check;
    const type = errorType(verdict);
    entry.lastAskedAt = now;
    entry.lastPeer = peer;
    entry.lastGood = verdict.kind === "serving";
    entry.note = note;
    entry.unasked = undefined;
    entry.hungUp = false;
    entry.checks++;
    entry.durations.add(check.durationMs, !entry.lastGood);
    if (!entry.lastGood) {
      entry.failures++;
      const detail = keptText(describeVerdict(verdict), entry.lastFailure?.detail);
      entry.lastFailure = { at: now, type: type ?? "not_serving", detail };
    }
    // While damping holds this client's state, another client's may have changed already.
    if (state !== entry.state && (note === "" || entry.state === "unanswered")) {
      if (entry.state !== "unanswered") entry.changes++;
      entry.state = state;
      entry.since = now;
    }
    const answer = type === undefined ? state : `${state} ${type}`;
    const changed = answer !== entry.answer;
    entry.answer = answer;
    return changed;
  }

  /**
   * Takes a check into account that the agent could not make.
   *
   * @param peer the client's address and port
   * @returns `true` once, when no check of this backend could be made for a minute
   */
  addUnasked(question: BackendQuestion, verdict: AgentFailure, peer: string): boolean {
    const now = this.#now();
    const entry = this.#touch(question, "unanswered", now);
    entry.lastAskedAt = now;
    entry.lastPeer = peer;
    entry.hungUp = false;
    const before = isOver(entry.unasked, now) ? undefined : entry.unasked;
    const type = verdict.kind;
    const detail = keptText(
      type === "internal" ? reasonOf(verdict.error) : verdict.detail,
      before?.detail,
    );
    entry.unasked = { since: before?.since ?? now, at: now, type, detail };
    return isLong(entry.unasked) && !isLong(before);
  }

  /** @returns how many backends could not be asked for a minute, and are still asked about */
  countUnasked(): number {
    const now = this.#now();
    let count = 0;
    for (const { unasked } of this.#entries.values()) {
      if (isLong(unasked) && !isOver(unasked, now)) count++;
    }
    return count;
  }

  /** Takes a check into account whose client went before the answer. */
  addHangUp(question: BackendQuestion, peer: string, ageMs: number): void {
    const now = this.#now();
    const entry = this.#touch(question, "unanswered", now);
    entry.lastAskedAt = now;
    entry.lastPeer = peer;
    entry.hangUps++;
    entry.lastHangUp = { at: now, ageMs, peer };
    entry.hungUp = true;
  }

  /** Forgets the backends that can no longer be asked about. */
  keepOnly(canBeAsked: (question: BackendQuestion) => boolean): void {
    for (const [key, { question }] of this.#entries) {
      if (!canBeAsked(question)) this.#entries.delete(key);
    }
  }

  /** @returns what is known of the backends asked about lately, in no particular order */
  records(): Iterable<BackendRecord> {
    this.#forget(this.#now());
    return this.#entries.values();
  }

  #touch(question: BackendQuestion, state: Entry["state"], now: number): Entry {
    if (now >= this.#forgetAt) this.#forget(now);
    const { key } = question;
    const known = this.#entries.get(key);
    if (known !== undefined && now - known.lastAskedAt < FORGET_AFTER_MS) return known;
    const entry = this.#newEntry(question, state, now);
    this.#entries.set(key, entry);
    if (this.#entries.size > MAX_BACKENDS) this.#makeRoom();
    return entry;
  }

  #newEntry(question: BackendQuestion, state: Entry["state"], now: number): Entry {
    return {
      question,
      number: this.#known++,
      state,
      since: now,
      lastAskedAt: now,
      lastPeer: "",
      lastGood: false,
      note: "",
      checks: 0,
      failures: 0,
      changes: 0,
      lastFailure: undefined,
      unasked: undefined,
      hangUps: 0,
      lastHangUp: undefined,
      hungUp: false,
      durations: new RecentDurations(),
      answer: "",
    };
  }

  /**
   * Goes over all of them now and then. A map kept in the order of the last use would need no such search, but its
   * moved entries leave holes that slow down each check.
   */
  #forget(now: number): void {
    this.#forgetAt = now + FORGET_EVERY_MS;
    for (const [key, { lastAskedAt }] of this.#entries) {
      if (now - lastAskedAt >= FORGET_AFTER_MS) this.#entries.delete(key);
    }
  }

  /** Drops a tenth at once, so that a flood of new backends does not pay for the search each time. */
  #makeRoom(): void {
    const oldestFirst = [...this.#entries.values()].sort((a, b) => a.lastAskedAt - b.lastAskedAt);
    for (const { question } of oldestFirst.slice(0, MAX_BACKENDS / 10)) {
      this.#entries.delete(question.key);
    }
  }
}

/** Whether a minute lies between the first and the last of the checks that could not be made. */
function isLong(unasked: Unasked | undefined): boolean {
  return unasked !== undefined && unasked.at - unasked.since >= UNASKED_LONG_MS;
}

/** Whether the last of the checks that could not be made is so long ago that the next one begins a new row. */
function isOver(unasked: Unasked | undefined, now: number): boolean {
  return unasked !== undefined && now - unasked.at >= UNASKED_LONG_MS;
}

/** How many checks are kept. Their failures are bits of one number, so it can be 31 at most. */
export const RECENT_CHECKS = 30;

/** How long one check took, and whether it failed. */
export interface TimedCheck {
  readonly durationMs: number;
  readonly failed: boolean;
}

/** How long the last checks of a backend took, in a ring buffer. */
export class RecentDurations {
  readonly #durationsMs: number[] = [];
  /** Where the next one goes once all places are taken. */
  #next = 0;
  /** One bit a check, the last check lowest. */
  #failed = 0;

  /** Takes one more check; the oldest goes when there are more than 30. */
  add(durationMs: number, failed: boolean): void {
    this.#durationsMs[this.#next] = durationMs;
    this.#next = (this.#next + 1) % RECENT_CHECKS;
    this.#failed = ((this.#failed << 1) | (failed ? 1 : 0)) & (2 ** RECENT_CHECKS - 1);
  }

  /** How long the last check took, in milliseconds; 0 when there was none. */
  get lastMs(): number {
    return this.#durationsMs.at(this.#next - 1) ?? 0;
  }

  /** @returns the checks, oldest first */
  list(): TimedCheck[] {
    const durations = this.#durationsMs;
    const full = durations.length === RECENT_CHECKS;
    const ordered = full
      ? [...durations.slice(this.#next), ...durations.slice(0, this.#next)]
      : durations;
    return ordered.map((durationMs, index) => ({
      durationMs,
      failed: (this.#failed >> (ordered.length - 1 - index) & 1) === 1,
    }));
  }
}
