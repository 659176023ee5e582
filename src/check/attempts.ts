import type { Call, CallRequest, Connection } from "../backend/connection.ts";
import type { DialFailure } from "../backend/dial.ts";
import type { PendingPlacement, Pool } from "../backend/pool.ts";
import type { Deadline, Deadlines } from "../deadline.ts";
import type { HealthCall } from "../grpc/request.ts";
import { isDecided, readHealthAnswer } from "../grpc/response.ts";
import { statusOfReset } from "../grpc/status.ts";
import type { HttpResponse, StreamEnd } from "../http2/session.ts";
import type { Verdict } from "../protocol/verdict.ts";
import type { CheckTimings, HealthCheck, Outcome, RunningCheck } from "./health_client.ts";

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

/** A call without a sign of life for this part of its time, or this long, is asked for one. */
const HEDGE_PART = 1 / 4;
const MAX_HEDGE_DELAY_MS = 400;

/** How long the sign of life may take, in milliseconds, and how often a slow call is looked at. */
const MAX_PING_MS = 250;

/** A server has the same deadline, and its word of it may come a moment before ours. */
const NEARLY_ALL = 0.9;

/** @returns how long a call may be without a sign of life before another is made as well, in milliseconds */
export function hedgeDelayMs(timeLeftMs: number): number {
  return Math.min(MAX_HEDGE_DELAY_MS, timeLeftMs * HEDGE_PART);
}

/** What attempts are made with. */
export interface AttemptsContext {
  readonly pool: Pool;
  readonly deadlines: Deadlines;
  /** The RPC, once there is a connection, in milliseconds. */
  readonly rpcTimeoutMs: number;
  /** Whether the last check of this backend has used all its attempts. */
  readonly exhausted: boolean;
  /** Told that a call is made on a second connection, since the first is silent. */
  readonly onHedged: () => void;
}

/** What one attempt came to. */
interface Attempt extends Outcome {
  /** A whole answer: the backend, or what stands before it, has spoken. */
  readonly answered: boolean;
  /** Whether a new connection may well say something else. */
  readonly retryable: boolean;
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
  readonly #begunAt = performance.now();
  readonly #calls = new Set<Call>();
  readonly #placements = new Set<PendingPlacement>();
  readonly #watches = new Set<Deadline>();
  /** Connections on which a call has no answer, nor a sign of life. */
  readonly #silent = new Set<Connection>();
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
    this.outcome = this.#run().finally(() => this.cancel());
  }

  /** Whether it has used all its attempts for nothing. */
  get exhausted(): boolean {
    return this.#made >= this.#limit;
  }

  get waitsFor(): string {
    for (const { waitsFor } of this.#placements) return waitsFor;
    return "The RPC did not end in time";
  }

  cancel(): void {
    this.#cancelled = true;
    for (const call of this.#calls) call.cancel();
    for (const connection of this.#silent) connection.drain("silent");
    for (const placement of this.#placements) placement.leave();
    for (const watch of this.#watches) watch.cancel();
  }

  get #limit(): number {
    return this.#context.exhausted ? MAX_ATTEMPTS_OF_EXHAUSTED : MAX_ATTEMPTS;
  }

  async #run(): Promise<Outcome> {
    let last = await this.#attempt();
    let result = last;
    while (last.retryable && this.#made < this.#limit && !this.#cancelled) {
      this.#openedAfter = performance.now();
      await this.#pause(PAUSES_MS[this.#made] ?? 0);
      last = await this.#attempt();
      // A new connection without an answer does not take back what was said on the old one.
      if (last.answered || !result.answered) result = last;
    }
    return result;
  }

  /** One call, and a second one on a new connection while the first is silent: the first whole answer wins. */
  async #attempt(): Promise<Attempt> {
    const exclusive = this.#made >= FIRST_EXCLUSIVE_ATTEMPT;
    this.#made++;
    const placement = await this.#place(exclusive);
    if (!placement.ok) return failedDial(placement.failure);
    const { call } = placement;
    const { ended, silent } = this.#follow(call);
    const first = await Promise.race([ended, silent]);
    if (first !== "silent" || this.#hedged || this.#made >= this.#limit) return await ended;
    this.#hedged = true;
    this.#context.onHedged();
    this.#openedAfter = performance.now();
    const other = this.#attempt();
    const heard = await Promise.race([ended, other]);
    const winner = heard.answered ? heard : await eitherAnswer(ended, other);
    return winner;
  }

  async #place(exclusive: boolean) {
    const { rpcTimeoutMs, pool } = this.#context;
    const request: CallRequest = {
      headerListBytes: this.#call.headerListBytes,
      body: this.#call.body,
      isDecided,
      headerBlock: () => this.#call.headerBlock(Math.min(rpcTimeoutMs, this.#timeLeftMs())),
    };
    const pending = pool.place(this.#check.destinations, request, {
      openedAfter: this.#openedAfter,
      exclusive,
    });
    this.#placements.add(pending);
    const placement = await pending.placed;
    this.#placements.delete(pending);
    if (placement.ok) {
      this.#calls.add(placement.call);
      if (this.#cancelled) placement.call.cancel();
    }
    return placement;
  }

  /** Waits for the end of a call, and tells when it looks as though none will come. */
  #follow(call: Call): { readonly ended: Promise<Attempt>; readonly silent: Promise<"silent"> } {
    const { deadlines, rpcTimeoutMs } = this.#context;
    const { promise: silent, resolve: onSilent } = Promise.withResolvers<"silent">();
    const { promise: ended, resolve: onEnd, reject: onBug } = Promise.withResolvers<Attempt>();
    const timeoutMs = Math.min(rpcTimeoutMs, this.#timeLeftMs());
    const endsAt = call.sentAt + timeoutMs;
    const patienceMs = Math.min(this.#timeLeftMs(), this.#check.patienceMs);
    const hedgeMs = hedgeDelayMs(patienceMs);
    // What has come by the time of the PING says nothing of the time after it.
    let signsBefore: number | undefined;
    const look = (heldUp: boolean) => {
      this.#watches.delete(watch);
      const leftMs = endsAt - performance.now();
      if (leftMs <= 0) return onEnd(this.#timedOut(call, heldUp));
      let nextMs = Math.min(leftMs, MAX_PING_MS);
      const { connection } = call;
      if (!connection.usable || signsBefore === connection.signsOfLife) {
        this.#silent.add(connection);
        onSilent("silent");
        nextMs = leftMs;
      } else if (signsBefore === undefined) {
        signsBefore = connection.ping() ? connection.signsOfLife : call.signsBefore;
        nextMs = Math.min(leftMs, hedgeMs, MAX_PING_MS);
      } else {
        signsBefore = -1; // it is merely slow
      }
      watch = this.#watch(look, nextMs);
    };
    let watch = this.#watch(look, Math.min(hedgeMs, timeoutMs));
    call.ended.then((end) => {
      watch.cancel();
      this.#watches.delete(watch);
      this.#calls.delete(call);
      this.#silent.delete(call.connection);
      onEnd(this.#attemptOf(call, end, timeoutMs));
    }).catch(onBug);
    return { ended, silent };
  }

  #watch(look: (heldUp: boolean) => void, ms: number): Deadline {
    const watch = this.#context.deadlines.set(look, ms);
    this.#watches.add(watch);
    return watch;
  }

  #timedOut(call: Call, heldUp: boolean): Attempt {
    call.cancel();
    const verdict: Verdict = heldUp
      ? { kind: "local", detail: "The agent was held up while the RPC was under way" }
      : { kind: "timeout", detail: "The RPC did not end in time" };
    return { verdict, timings: this.#timings(call), answered: false, retryable: false };
  }

  #attemptOf(call: Call, end: StreamEnd, timeoutMs: number): Attempt {
    const { connection } = call;
    const hasServed = connection.hasServed(this.#name);
    const timings = this.#timings(call);
    switch (end.kind) {
      case "response": {
        const verdict = this.#verdictOf(end.response, performance.now() - call.sentAt, timeoutMs);
        if (verdict.kind === "serving") connection.serves(this.#name);
        // Behind a balancer the old connection may lead to a server that is being replaced.
        else if (hasServed) connection.drain("changed");
        return {
          verdict,
          timings,
          answered: true,
          retryable: hasServed && verdict.kind !== "serving",
        };
      }
      case "reset":
        return {
          verdict: { kind: "rpc", ...statusOfReset(end.code) },
          timings,
          answered: false,
          retryable: hasServed,
        };
      case "refused": {
        const verdict = { kind: "rpc", code: "UNAVAILABLE", detail: end.reason } as const;
        return { verdict, timings, answered: false, retryable: true };
      }
      case "lost": {
        const { verdict, final } = lostVerdict(connection, end.reason);
        const retryable = !final && (!end.begun || hasServed);
        return { verdict, timings, answered: false, retryable };
      }
      case "malformed": {
        const verdict = { kind: "rpc", code: "INTERNAL", detail: end.reason } as const;
        return { verdict, timings, answered: false, retryable: hasServed };
      }
      case "not_http2":
      case "flooded":
        return {
          verdict: { kind: "unreachable", detail: end.reason },
          timings,
          answered: false,
          retryable: false,
        };
    }
  }

  #verdictOf(response: HttpResponse, tookMs: number, timeoutMs: number): Verdict {
    const answer = readHealthAnswer(response);
    if (answer.ok) {
      const { status } = answer;
      return status === "SERVING" ? { kind: "serving" } : { kind: "not_serving", status };
    }
    const { code, detail } = answer;
    return code === "DEADLINE_EXCEEDED" && tookMs > timeoutMs * NEARLY_ALL
      ? { kind: "timeout", detail: "The RPC did not end in time" }
      : { kind: "rpc", code, detail };
  }

  #timings({ connection, sentAt }: Call): CheckTimings {
    const rpc = performance.now() - sentAt;
    return connection.openedAt < this.#begunAt ? { rpc } : { ...connection.timings, rpc };
  }

  #timeLeftMs(): number {
    return Math.max(1, this.#begunAt + this.#check.timeoutMs - performance.now());
  }

  async #pause(ms: number): Promise<void> {
    if (ms === 0) return;
    await new Promise<void>((resolve) => this.#watch(() => resolve(), ms));
  }
}

function failedDial({ verdict, retryable }: DialFailure): Attempt {
  return { verdict, timings: {}, answered: false, retryable };
}

/** Waits for both unless one of them is a whole answer; without one, the newer has seen more of the truth. */
async function eitherAnswer(old: Promise<Attempt>, fresh: Promise<Attempt>): Promise<Attempt> {
  const [one, other] = await Promise.all([old, fresh]);
  return one.answered && !other.answered ? one : other;
}

/**
 * With TLS 1.3 a server judges the client's certificate after the handshake has ended for the client: it
 * sends an alert, or merely closes.
 */
function lostVerdict(
  { destination: { tls }, tlsAlert, signsOfLife }: Connection,
  reason: string,
): { readonly verdict: Verdict; readonly final: boolean } {
  if (tlsAlert !== undefined) return { verdict: { kind: "tls", detail: tlsAlert }, final: true };
  if (tls === undefined || signsOfLife > 0) {
    return { verdict: { kind: "unreachable", detail: reason }, final: false };
  }
  const question = tls.profile.settings.certFile === undefined
    ? "does it demand a client certificate?"
    : "does it refuse the client certificate?";
  const detail = `The peer closed the connection after the TLS handshake: ${question}`;
  return { verdict: { kind: "tls", detail }, final: false };
}
