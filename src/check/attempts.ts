import type { Call } from "../backend/connection.ts";
import { type Destination, destinationKey } from "../backend/dial.ts";
import type { PendingPlacement, Placement, PlaceOptions } from "../backend/placement.ts";
import type { Pool } from "../backend/pool.ts";
import type { Deadlines } from "../deadline.ts";
import type { HealthCall } from "../grpc/request.ts";
import type { LruMap } from "../lru_map.ts";
import type { Verdict } from "../protocol/verdict.ts";
import {
  type CheckObserver,
  type CheckProgress,
  type HealthCheck,
  RPC_TIMED_OUT,
  type RunningCheck,
} from "./health_client.ts";
import { type AttemptOutcome, outcomeOfCall, outcomeOfDial } from "./verdicts.ts";
import { type CallEnd, WatchedCall } from "./watched_call.ts";

/** Attempts of one check at most, and where the last check of the same question has used all of them in vain. */
const MAX_ATTEMPTS = 4;
const MAX_ATTEMPTS_OF_EXHAUSTED = 2;

/** Pauses before the attempts after the first, in milliseconds: a front proxy that reloads needs a moment. */
const PAUSES_MS = [0, 10, 50];

/**
 * From the attempt after so many on, and for the last one, a call gets a new connection to itself. Some servers
 * answer one call a connection; otherwise another check made at the same time would take it first.
 */
const ATTEMPTS_BEFORE_EXCLUSIVE = 2;

/** A call without an answer for this part of its time, or this long, has its connection asked for a sign of life. */
const HEDGE_PART = 1 / 4;
const MAX_HEDGE_DELAY_MS = 400;

/** @returns how long a call may be without an answer before a sign of life is asked for, in milliseconds */
export function hedgeDelayMs(timeLeftMs: number): number {
  return Math.min(MAX_HEDGE_DELAY_MS, timeLeftMs * HEDGE_PART);
}

/** @returns a key of the backend and of what is asked of it: that one service fails says nothing of another */
export function questionOf([first]: readonly Destination[], { key }: HealthCall): string {
  return `${first && destinationKey(first)} ${key}`;
}

/** What the attempts of all checks share. */
export interface AttemptsContext {
  readonly pool: Pool;
  readonly deadlines: Deadlines;
  /** The RPC, once there is a connection, in milliseconds. */
  readonly rpcTimeoutMs: number;
  /** How long a new connection may be without the server's SETTINGS, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Questions of which the last check has used all its attempts in vain, by {@linkcode questionOf}. */
  readonly exhausted: LruMap<string, true>;
  readonly observer: Pick<CheckObserver, "onHedged">;
}

/**
 * One check of one backend: a call on a kept connection or a new one, and again on a new one where the
 * connection, not the backend, is to blame, until the time is up.
 */
export class Attempts implements RunningCheck {
  readonly verdict: Promise<Verdict>;
  readonly #check: HealthCheck;
  readonly #call: HealthCall;
  readonly #context: AttemptsContext;
  /** Whether the last check of this question has used all its attempts in vain. */
  readonly #wasExhausted: boolean;
  readonly #maxAttempts: number;
  readonly #calls: WatchedCall[] = [];
  /** Addresses at which an attempt had no answer: the others come first. */
  #failed: Set<string> | undefined;
  /** The wait for a connection, while there is one. */
  #placement: PendingPlacement | undefined;
  /** What the backend has said last. */
  #answer: Verdict | undefined;
  /** Only connections opened after this moment of `performance.now()` are used. */
  #openedAfter = -Infinity;
  /** The shortest time that anybody who shares this check will wait, in milliseconds. */
  #askerTimeoutMs: number;
  #made = 0;
  #hedged = false;
  #cancelled = false;

  constructor(check: HealthCheck, call: HealthCall, context: AttemptsContext) {
    this.#check = check;
    this.#call = call;
    this.#context = context;
    this.#askerTimeoutMs = check.askerTimeoutMs;
    const { exhausted } = context;
    this.#wasExhausted = exhausted.size > 0 &&
      exhausted.get(questionOf(check.destinations, call)) === true;
    // At least one for each address, so that one that has recovered is found.
    this.#maxAttempts = this.#wasExhausted
      ? Math.min(MAX_ATTEMPTS, Math.max(MAX_ATTEMPTS_OF_EXHAUSTED, check.destinations.length))
      : MAX_ATTEMPTS;
    this.verdict = this.#run();
  }

  progress(): CheckProgress {
    const placement = this.#placement;
    return {
      answer: this.#answer,
      // Where a call is out, silence is the backend's: it is only a second connection that has to wait.
      lack: this.#hedged ? undefined : placement?.waitsForAgent,
      waitsFor: placement?.waitsFor ?? RPC_TIMED_OUT,
    };
  }

  joined(askerTimeoutMs: number): void {
    this.#askerTimeoutMs = Math.min(this.#askerTimeoutMs, askerTimeoutMs);
    for (const call of this.#calls) call.hedgeWithin(hedgeDelayMs(askerTimeoutMs));
  }

  cancel(): void {
    this.#end(false);
  }

  /** @param answered whether the backend has answered: connections that are still silent are given up then */
  #end(answered: boolean): void {
    this.#cancelled = true;
    for (const call of this.#calls) call.cancel(answered);
    this.#placement?.leave();
  }

  get #isExhausted(): boolean {
    return this.#made >= this.#maxAttempts;
  }

  async #run(): Promise<Verdict> {
    try {
      const { verdict } = await this.#attempts();
      this.#rememberWhetherExhausted(verdict);
      return verdict;
    } finally {
      this.#end(this.#answer !== undefined);
    }
  }

  #rememberWhetherExhausted(verdict: Verdict): void {
    const { exhausted } = this.#context;
    const isServing = verdict.kind === "serving";
    if (isServing ? !this.#wasExhausted : !this.#isExhausted) return;
    const question = questionOf(this.#check.destinations, this.#call);
    if (isServing) exhausted.delete(question);
    else exhausted.set(question, true);
  }

  /** Attempts as long as a new connection may well say something else. */
  async #attempts(): Promise<AttemptOutcome> {
    let last = await this.#attempt();
    let result = last;
    while (last.retryable && !this.#isExhausted && !this.#cancelled) {
      this.#openedAfter = performance.now();
      await this.#pause(PAUSES_MS[this.#made - 1] ?? 0);
      last = await this.#attempt();
      // A new connection without an answer does not take back what was said on the old one.
      if (last.answered || !result.answered) result = last;
    }
    return result;
  }

  /** One call, and where it is silent, further attempts on new connections beside it: the first whole answer wins. */
  async #attempt(): Promise<AttemptOutcome> {
    const exclusive = this.#made >= Math.min(ATTEMPTS_BEFORE_EXCLUSIVE, this.#maxAttempts - 1);
    this.#made++;
    const { deadlines, rpcTimeoutMs } = this.#context;
    const endsBy = this.#check.at + this.#check.timeoutMs;
    const watched = new WatchedCall(this.#call, rpcTimeoutMs, endsBy, deadlines);
    const options = { openedAfter: this.#openedAfter, exclusive };
    const placement = this.#send(watched, options) ?? await this.#place(watched, options);
    if (!placement.ok) {
      for (const { address } of this.#destinations()) this.#noteFailure(address);
      return outcomeOfDial(placement.failure);
    }
    const { call } = placement;
    const timeoutMs = watched.timeoutAt(call.sentAt);
    watched.watch(
      call,
      this.#context.connectTimeoutMs,
      hedgeDelayMs(Math.min(timeoutMs, this.#askerTimeoutMs)),
    );
    this.#calls.push(watched);
    if (this.#cancelled) watched.cancel();
    const heard = await watched.heard;
    if (heard.kind !== "silent") return this.#outcome(call, heard, timeoutMs);
    const ended = heard.ended.then((end) => this.#outcome(call, end, timeoutMs));
    if (this.#isExhausted || this.#hedged && !heard.isLeaving) return await ended;
    this.#hedged = true;
    this.#context.observer.onHedged();
    this.#noteFailure(call.connection.destination.address);
    this.#openedAfter = performance.now();
    return await firstAnswer(ended, this.#attempts(), this.#check.destinations.length > 1);
  }

  /** On a connection that can take it now. */
  #send(request: WatchedCall, options: PlaceOptions): Placement | undefined {
    const call = this.#context.pool.send(this.#destinations(), request, options);
    return call && { ok: true, call };
  }

  async #place(request: WatchedCall, options: PlaceOptions): Promise<Placement> {
    this.#placement = this.#context.pool.place(this.#destinations(), request, options);
    const placement = await this.#placement.placed;
    this.#placement = undefined;
    return placement;
  }

  #outcome(call: Call, end: CallEnd, timeoutMs: number): AttemptOutcome {
    const tookMs = performance.now() - call.sentAt;
    const outcome = outcomeOfCall(call, end, this.#call.key, tookMs, timeoutMs);
    if (outcome.answered) {
      this.#answer = outcome.verdict;
      return outcome;
    }
    this.#noteFailure(call.connection.destination.address);
    // A failure at one address says nothing of the others.
    return this.#hasUntried() ? { ...outcome, retryable: true } : outcome;
  }

  #noteFailure(address: string): void {
    this.#failed ??= new Set();
    this.#failed.add(address);
  }

  /** Those without a failure first. The others follow: a failure may be that of one connection only. */
  #destinations(): readonly Destination[] {
    if (!this.#hasUntried()) return this.#check.destinations;
    const failed = this.#check.destinations.filter(({ address }) => this.#failed?.has(address));
    return [...this.#untried(), ...failed];
  }

  #hasUntried(): boolean {
    return this.#failed !== undefined && this.#untried().length > 0;
  }

  #untried(): readonly Destination[] {
    return this.#check.destinations.filter(({ address }) => !this.#failed?.has(address));
  }

  async #pause(ms: number): Promise<void> {
    if (ms === 0) return;
    await new Promise<void>((resolve) => {
      this.#context.deadlines.set(() => {
        if (!this.#cancelled) resolve();
      }, ms);
    });
  }
}

/**
 * The first whole answer wins. If neither call has one, the outcome of the fresh one counts, unless it may have gone
 * to another address: then that of the old one does.
 *
 * @param elsewhere whether the fresh call may have gone to another address
 */
async function firstAnswer(
  old: Promise<AttemptOutcome>,
  fresh: Promise<AttemptOutcome>,
  elsewhere: boolean,
): Promise<AttemptOutcome> {
  const first = await Promise.race([old, fresh]);
  if (first.answered) return first;
  const [one, other] = await Promise.all([old, fresh]);
  return other.answered || !one.answered && !elsewhere ? other : one;
}
