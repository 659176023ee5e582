import type { Call } from "../backend/connection.ts";
import type { Destination } from "../backend/dial.ts";
import type { PendingPlacement, Placement } from "../backend/placement.ts";
import type { Pool } from "../backend/pool.ts";
import type { Deadlines } from "../deadline.ts";
import { encodeHealthCall, type HealthCall } from "../grpc/request.ts";
import { LruMap } from "../lru_map.ts";
import {
  type AttemptOutcome,
  type CallEnd,
  outcomeOfCall,
  outcomeOfDial,
  RPC_TIMED_OUT,
  WatchedCall,
} from "./call.ts";
import type {
  CheckTimings,
  HealthCheck,
  HealthClient,
  Outcome,
  RunningCheck,
} from "./health_client.ts";

/** Calls or connections in one check at most, and for a backend whose last check has used all of them. */
const MAX_ATTEMPTS = 4;
const MAX_ATTEMPTS_OF_EXHAUSTED = 2;

/** Pauses before the attempts, in milliseconds: a front proxy that reloads needs a moment. */
const PAUSES_MS = [0, 0, 10, 50];

/**
 * From this attempt on the connection is for this call alone: some servers serve one call a connection, and
 * then it goes to another of the checks that are made at the same time.
 */
const FIRST_EXCLUSIVE_ATTEMPT = 2;

/** A call without an answer for this part of its time, or this long, is asked for a sign of life. */
const HEDGE_PART = 1 / 4;
const MAX_HEDGE_DELAY_MS = 400;

/** @returns how long a call may be without an answer before a sign of life is asked for, in milliseconds */
export function hedgeDelayMs(timeLeftMs: number): number {
  return Math.min(MAX_HEDGE_DELAY_MS, timeLeftMs * HEDGE_PART);
}

/** What attempts are made with. */
export interface AttemptsContext {
  readonly pool: Pool;
  readonly deadlines: Deadlines;
  /** The RPC, once there is a connection, in milliseconds. */
  readonly rpcTimeoutMs: number;
  /** How long a new connection may be without the server's SETTINGS, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Whether the last check of this backend has used all its attempts. */
  readonly exhausted: boolean;
  /** Told that a call is made on a second connection, since the first is silent. */
  readonly onHedged: () => void;
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
  /** SERVING is remembered of a connection by this. */
  readonly #name: string;
  readonly #begunAt: number;
  readonly #calls: WatchedCall[] = [];
  /** Addresses at which an attempt had no answer: the others come first. */
  readonly #failed = new Set<string>();
  #placement: PendingPlacement | undefined;
  /** When the last attempt began to look for a connection, and of what it is known how long it took. */
  #placedAt = 0;
  #sentAt = 0;
  #timings: CheckTimings = {};
  /** Connections opened before are not used. */
  #openedAfter = -Infinity;
  #made = 0;
  #hedged = false;
  #cancelled = false;

  constructor(check: HealthCheck, call: HealthCall, context: AttemptsContext) {
    this.#check = check;
    this.#call = call;
    this.#context = context;
    this.#name = `${check.authority} ${check.service}`;
    this.#begunAt = check.at;
    this.outcome = this.#run();
  }

  /** Whether it has used all its attempts. */
  get exhausted(): boolean {
    return this.#made >= this.#limit;
  }

  get waitsFor(): string {
    return this.#placement?.waitsFor ?? RPC_TIMED_OUT;
  }

  get waitsForAgent(): boolean {
    return this.#placement?.isCrowded === true;
  }

  get timings(): CheckTimings {
    const now = performance.now();
    return this.#placement === undefined
      ? { ...this.#timings, rpc: now - this.#sentAt }
      : { [this.#placement.phase]: now - this.#placedAt };
  }

  cancel(): void {
    this.#cancelled = true;
    for (const call of this.#calls) call.cancel();
    this.#placement?.leave();
  }

  get #limit(): number {
    if (!this.#context.exhausted) return MAX_ATTEMPTS;
    // Each address of a name has its turn, so that one that has recovered is found.
    const { length } = this.#check.destinations;
    return Math.min(MAX_ATTEMPTS, Math.max(MAX_ATTEMPTS_OF_EXHAUSTED, length));
  }

  async #run(): Promise<Outcome> {
    let result: AttemptOutcome | undefined;
    try {
      let last = await this.#attempt();
      result = last;
      while (last.retryable && this.#made < this.#limit && !this.#cancelled) {
        this.#openedAfter = performance.now();
        await this.#pause(PAUSES_MS[this.#made] ?? 0);
        last = await this.#attempt();
        // A new connection without an answer does not take back what was said on the old one.
        if (last.answered || !result.answered) result = last;
      }
      return { verdict: result.verdict, timings: this.#timings };
    } finally {
      for (const call of this.#calls) call.cancel(result?.answered);
      this.cancel();
    }
  }

  /** One call, and a second one on a new connection while the first is silent: the first whole answer wins. */
  async #attempt(): Promise<AttemptOutcome> {
    const exclusive = this.#made >= FIRST_EXCLUSIVE_ATTEMPT;
    this.#made++;
    const watched = new WatchedCall(this.#context.deadlines);
    const placement = await this.#place(watched, exclusive);
    if (!placement.ok) {
      for (const { address } of this.#destinations()) this.#failed.add(address);
      this.#timings = { [placement.failure.phase]: performance.now() - this.#placedAt };
      return outcomeOfDial(placement.failure);
    }
    const { call } = placement;
    this.#timings = this.#connectTimings(call);
    this.#sentAt = call.sentAt;
    const { timeoutMs } = watched;
    watched.watch(
      call,
      this.#context.connectTimeoutMs,
      hedgeDelayMs(Math.min(timeoutMs, this.#check.patienceMs)),
    );
    this.#calls.push(watched);
    if (this.#cancelled) watched.cancel();
    const heard = await watched.heard;
    if (heard.kind !== "silent") return this.#outcome(call, heard, timeoutMs);
    const ended = heard.ended.then((end) => this.#outcome(call, end, timeoutMs));
    if (this.exhausted || this.#hedged && !heard.isLeaving) return await ended;
    this.#hedged = true;
    this.#context.onHedged();
    this.#failed.add(call.connection.destination.address);
    this.#openedAfter = performance.now();
    return await firstAnswer(ended, this.#attempt(), this.#check.destinations.length > 1);
  }

  async #place(watched: WatchedCall, exclusive: boolean): Promise<Placement> {
    const request = watched.request(this.#call, () => this.#rpcTimeoutMs());
    const options = { openedAfter: this.#openedAfter, exclusive };
    this.#placedAt = performance.now();
    const pending = this.#context.pool.place(this.#destinations(), request, options);
    if (pending.placement !== undefined) return pending.placement;
    this.#placement = pending;
    const placement = await pending.placed;
    this.#placement = undefined;
    return placement;
  }

  #outcome(call: Call, end: CallEnd, timeoutMs: number): AttemptOutcome {
    const rpc = performance.now() - call.sentAt;
    this.#timings = { ...this.#connectTimings(call), rpc };
    const outcome = outcomeOfCall(call, end, this.#name, rpc, timeoutMs);
    if (outcome.answered) return outcome;
    this.#failed.add(call.connection.destination.address);
    // What is dead at one address says nothing of the next one.
    return this.#hasUntried() ? { ...outcome, retryable: true } : outcome;
  }

  /** Nothing on a kept connection. What was tried in vain before the one that is used counts as connecting. */
  #connectTimings({ connection, sentAt }: Call): CheckTimings {
    const { openedAt, timings } = connection;
    if (openedAt < this.#placedAt) return {};
    const { tls = 0 } = timings;
    return { ...timings, connect: sentAt - this.#placedAt - tls };
  }

  #destinations(): readonly Destination[] {
    const { destinations } = this.#check;
    if (!this.#hasUntried()) return destinations;
    return destinations.filter(({ address }) => !this.#failed.has(address));
  }

  #hasUntried(): boolean {
    return this.#failed.size > 0 &&
      this.#check.destinations.some(({ address }) => !this.#failed.has(address));
  }

  /** How long a call that is sent now may take: the time of the whole check counts as well. */
  #rpcTimeoutMs(): number {
    const leftMs = this.#begunAt + this.#check.timeoutMs - performance.now();
    return Math.max(1, Math.min(this.#context.rpcTimeoutMs, leftMs));
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
 * Takes the first whole answer. Where neither call brings one, the newer outcome counts, or the older one where
 * the newer call may have gone to another address.
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

/** The agent's own gRPC client. */
export class NativeClient implements HealthClient {
  readonly #pool: Pool;
  readonly #deadlines: Deadlines;
  readonly #timeouts: Pick<AttemptsContext, "rpcTimeoutMs" | "connectTimeoutMs">;
  readonly #metadata: ReadonlyMap<string, string>;
  readonly #onHedged: () => void;
  readonly #calls = new LruMap<string, HealthCall>(MAX_CALLS);
  readonly #exhausted = new LruMap<string, true>(MAX_EXHAUSTED);

  /**
   * @param metadata what each call carries along
   * @param onHedged told of each call that is made a second time while the first is silent
   */
  constructor(
    pool: Pool,
    deadlines: Deadlines,
    timeouts: Pick<AttemptsContext, "rpcTimeoutMs" | "connectTimeoutMs">,
    metadata: ReadonlyMap<string, string>,
    onHedged: () => void,
  ) {
    this.#pool = pool;
    this.#deadlines = deadlines;
    this.#timeouts = timeouts;
    this.#metadata = metadata;
    this.#onHedged = onHedged;
  }

  check(check: HealthCheck): RunningCheck {
    const [first] = check.destinations;
    const target = `${first?.address} ${first?.port}`;
    const exhausted = this.#exhausted.get(target) !== undefined;
    const attempts = new Attempts(check, this.#callOf(check), {
      pool: this.#pool,
      deadlines: this.#deadlines,
      ...this.#timeouts,
      exhausted,
      onHedged: this.#onHedged,
    });
    void attempts.outcome.then(({ verdict }) => {
      if (verdict.kind === "serving") {
        if (exhausted) this.#exhausted.delete(target);
      } else if (attempts.exhausted) this.#exhausted.set(target, true);
    });
    return attempts;
  }

  stateOf(destination: Destination): "ready" | "connecting" | undefined {
    return this.#pool.stateOf(destination);
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
