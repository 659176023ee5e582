import type { Call } from "../backend/connection.ts";
import { type Destination, destinationKey } from "../backend/dial.ts";
import type { PendingPlacement, Placement, PlaceOptions } from "../backend/placement.ts";
import type { Pool } from "../backend/pool.ts";
import type { Deadlines } from "../deadline.ts";
import { encodeHealthCall, type HealthCall } from "../grpc/request.ts";
import { LruMap } from "../lru_map.ts";
import {
  type AttemptOutcome,
  type CallEnd,
  outcomeOfCall,
  outcomeOfDial,
  WatchedCall,
} from "./call.ts";
import {
  type CheckObserver,
  type CheckProgress,
  type CheckTimings,
  type HealthCheck,
  type HealthClient,
  type Outcome,
  RPC_TIMED_OUT,
  type RunningCheck,
} from "./health_client.ts";

/** Calls or connections in one check at most, and for a backend whose last check has used all of them. */
const MAX_ATTEMPTS = 4;
const MAX_ATTEMPTS_OF_EXHAUSTED = 2;

/** Pauses before the attempts, in milliseconds: a front proxy that reloads needs a moment. */
const PAUSES_MS = [0, 0, 10, 50];

/**
 * From the attempt after so many on, and for the last one, a call gets a new connection to itself. Some servers
 * answer one call a connection; otherwise another check made at the same time would take it first.
 */
const ATTEMPTS_BEFORE_EXCLUSIVE = 2;

/** A call without an answer for this part of its time, or this long, is asked for a sign of life. */
const HEDGE_PART = 1 / 4;
const MAX_HEDGE_DELAY_MS = 400;

/** @returns how long a call may be without an answer before a sign of life is asked for, in milliseconds */
export function hedgeDelayMs(timeLeftMs: number): number {
  return Math.min(MAX_HEDGE_DELAY_MS, timeLeftMs * HEDGE_PART);
}

const NO_TIMINGS: CheckTimings = {};

/** What attempts are made with. */
export interface AttemptsContext {
  readonly pool: Pool;
  readonly deadlines: Deadlines;
  /** The RPC, once there is a connection, in milliseconds. */
  readonly rpcTimeoutMs: number;
  /** How long a new connection may be without the server's SETTINGS, in milliseconds. */
  readonly connectTimeoutMs: number;
  readonly exhausted: ExhaustedBackends;
  readonly observer: Pick<CheckObserver, "onHedged">;
}

/**
 * One check of one backend: a call on a kept connection or a new one, and again on a new one where the
 * connection, not the backend, is to blame, until the time is up.
 */
export class Attempts implements RunningCheck {
  readonly outcome: Promise<Outcome>;
  readonly #check: HealthCheck;
  readonly #call: HealthCall;
  readonly #context: AttemptsContext;
  /** Whether the last check of this backend has used all its attempts. */
  readonly #wasExhausted: boolean;
  readonly #calls: WatchedCall[] = [];
  /** Addresses at which an attempt had no answer: the others come first. */
  #failed: Set<string> | undefined;
  // Of the last attempt, where an earlier one still waits for its answer:
  #placement: PendingPlacement | undefined;
  /** When it began to look for a connection, in milliseconds of `performance.now()`. */
  #placedAt = 0;
  /** When its call was sent. */
  #sentAt = 0;
  /** The steps of it that have ended. */
  #timings: CheckTimings = {};
  /** What the attempts have come to so far. */
  #result: AttemptOutcome | undefined;
  /** Connections opened before are not used. */
  #openedAfter = -Infinity;
  /** How long the one that waits least long will wait, in milliseconds. */
  #askerTimeoutMs: number;
  #made = 0;
  #hedged = false;
  #cancelled = false;

  constructor(check: HealthCheck, call: HealthCall, context: AttemptsContext) {
    this.#check = check;
    this.#call = call;
    this.#context = context;
    this.#askerTimeoutMs = check.askerTimeoutMs;
    this.#wasExhausted = context.exhausted.has(check.destinations, call.key);
    this.outcome = this.#run();
  }

  progress(): CheckProgress {
    const now = performance.now();
    const placement = this.#placement;
    return {
      timings: placement === undefined
        ? { ...this.#timings, rpc: now - this.#sentAt }
        : { [placement.phase]: now - this.#placedAt },
      answer: this.#result?.answered === true ? this.#result.verdict : undefined,
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
    return this.#made >= this.#limit;
  }

  get #limit(): number {
    if (!this.#wasExhausted) return MAX_ATTEMPTS;
    // Each address of a name has its turn, so that one that has recovered is found.
    const { length } = this.#check.destinations;
    return Math.min(MAX_ATTEMPTS, Math.max(MAX_ATTEMPTS_OF_EXHAUSTED, length));
  }

  async #run(): Promise<Outcome> {
    try {
      const result = await this.#attempts();
      this.#rememberWhetherExhausted(result);
      return { verdict: result.verdict, timings: this.#timings };
    } finally {
      this.#end(this.#result?.answered === true);
    }
  }

  #rememberWhetherExhausted({ verdict }: AttemptOutcome): void {
    const { exhausted } = this.#context;
    const { destinations } = this.#check;
    const { key } = this.#call;
    if (verdict.kind !== "serving" && this.#isExhausted) exhausted.add(destinations, key);
    else if (verdict.kind === "serving" && this.#wasExhausted) exhausted.delete(destinations, key);
  }

  /** Attempts as long as a new connection may well say something else. */
  async #attempts(): Promise<AttemptOutcome> {
    let last = await this.#attempt();
    let result = last;
    this.#result = result;
    while (last.retryable && !this.#isExhausted && !this.#cancelled) {
      this.#openedAfter = performance.now();
      await this.#pause(PAUSES_MS[this.#made] ?? 0);
      last = await this.#attempt();
      // A new connection without an answer does not take back what was said on the old one.
      if (last.answered || !result.answered) this.#result = result = last;
    }
    return result;
  }

  /** One call, and further attempts on new connections while the first is silent: the first whole answer wins. */
  async #attempt(): Promise<AttemptOutcome> {
    const exclusive = this.#made >= Math.min(ATTEMPTS_BEFORE_EXCLUSIVE, this.#limit - 1);
    this.#made++;
    const { deadlines, rpcTimeoutMs } = this.#context;
    const endsBy = this.#check.at + this.#check.timeoutMs;
    const watched = new WatchedCall(this.#call, rpcTimeoutMs, endsBy, deadlines);
    const options = { openedAfter: this.#openedAfter, exclusive };
    const placement = this.#send(watched, options) ?? await this.#place(watched, options);
    if (!placement.ok) {
      for (const { address } of this.#destinations()) this.#hasFailed(address);
      this.#timings = { [placement.failure.phase]: performance.now() - this.#placedAt };
      return outcomeOfDial(placement.failure);
    }
    const { call } = placement;
    this.#timings = this.#connectTimings(call);
    this.#sentAt = call.sentAt;
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
    this.#hasFailed(call.connection.destination.address);
    this.#openedAfter = performance.now();
    const result = await firstAnswer(
      ended,
      this.#attempts(),
      this.#check.destinations.length > 1,
    );
    return this.#result = result;
  }

  /** On a connection that can take it now. */
  #send(request: WatchedCall, options: PlaceOptions): Placement | undefined {
    this.#placedAt = performance.now();
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
    const rpc = performance.now() - call.sentAt;
    const connecting = this.#connectTimings(call);
    this.#timings = connecting === NO_TIMINGS ? { rpc } : { ...connecting, rpc };
    const outcome = outcomeOfCall(call, end, this.#call.key, rpc, timeoutMs);
    if (outcome.answered) return outcome;
    this.#hasFailed(call.connection.destination.address);
    // What is dead at one address says nothing of the next one.
    return this.#hasUntried() ? { ...outcome, retryable: true } : outcome;
  }

  /** Nothing on a kept connection. What was tried in vain before the one that is used counts as connecting. */
  #connectTimings({ connection, sentAt }: Call): CheckTimings {
    const { openedAt, timings } = connection;
    if (openedAt < this.#placedAt) return NO_TIMINGS;
    const { tls = 0 } = timings;
    return { ...timings, connect: sentAt - this.#placedAt - tls };
  }

  #hasFailed(address: string): void {
    this.#failed ??= new Set();
    this.#failed.add(address);
  }

  /** Those without a failure first; what has failed may have done so on one connection only. */
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
 * Takes the first whole answer. Where neither call brings one: the outcome of the newer one, but that of the older
 * where the newer one may have gone to another address, which says nothing of the first.
 *
 * @param elsewhere whether it may have
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

/** Encoded calls that are kept: one for each authority and service. */
const MAX_CALLS = 10_000;

/** Backends of which it is remembered that a check has used all its attempts. */
const MAX_EXHAUSTED = 10_000;

/** Questions to backends of which the last check has used all its attempts in vain. */
export class ExhaustedBackends {
  readonly #backends = new LruMap<string, true>(MAX_EXHAUSTED);

  /** @param call the key of the call: that one service fails says nothing of another */
  has(destinations: readonly Destination[], call: string): boolean {
    return this.#backends.size > 0 && this.#backends.get(keyOf(destinations, call)) === true;
  }

  add(destinations: readonly Destination[], call: string): void {
    this.#backends.set(keyOf(destinations, call), true);
  }

  delete(destinations: readonly Destination[], call: string): void {
    this.#backends.delete(keyOf(destinations, call));
  }
}

function keyOf([first]: readonly Destination[], call: string): string {
  return first === undefined ? call : `${destinationKey(first)} ${call}`;
}

/** The agent's own gRPC client. */
export class NativeClient implements HealthClient {
  readonly #context: AttemptsContext;
  readonly #metadata: ReadonlyMap<string, string>;
  readonly #calls = new LruMap<string, HealthCall>(MAX_CALLS);

  /** @param metadata what each call carries along */
  constructor(
    pool: Pool,
    deadlines: Deadlines,
    timeouts: Pick<AttemptsContext, "rpcTimeoutMs" | "connectTimeoutMs">,
    metadata: ReadonlyMap<string, string>,
    observer: Pick<CheckObserver, "onHedged">,
  ) {
    const exhausted = new ExhaustedBackends();
    this.#context = { pool, deadlines, ...timeouts, exhausted, observer };
    this.#metadata = metadata;
  }

  check(check: HealthCheck): RunningCheck {
    return new Attempts(check, this.#callOf(check), this.#context);
  }

  stateOf(destination: Destination): "ready" | "connecting" | undefined {
    return this.#context.pool.stateOf(destination);
  }

  #callOf({ destinations: [first], authority, service }: HealthCheck): HealthCall {
    const tls = first?.tls !== undefined;
    const key = `${tls} ${authority} ${service}`;
    const known = this.#calls.get(key);
    if (known !== undefined) return known;
    const call = encodeHealthCall({ authority, tls, service }, this.#metadata);
    this.#calls.set(key, call);
    return call;
  }
}
