import type { Call, CallRequest, Connection } from "../backend/connection.ts";
import type { Deadline, Deadlines } from "../deadline.ts";
import type { HealthCall } from "../grpc/request.ts";
import type { StreamEnd } from "../http2/stream.ts";

/**
 * How a call ended. Three ends do not come from the server: `timeout`; `no_settings`, where a new connection has
 * not even brought the server's SETTINGS; and `held_up`, where the agent's own process stood still meanwhile.
 */
export type CallEnd = StreamEnd | { readonly kind: "timeout" | "no_settings" | "held_up" };

/** A call without an answer, whose connection gives no sign of life or is about to end. */
export interface Silence {
  readonly kind: "silent";
  /** Whether the server has said GOAWAY: then it is not dead, but it may never answer this call. */
  readonly isLeaving: boolean;
  /** Settles when the call ends after all. */
  readonly ended: Promise<CallEnd>;
}

/** How often a call without an answer is looked at, in milliseconds. A sign of life may take this long at most. */
const LOOK_EVERY_MS = 250;

/** A silent connection is closed no sooner than this, in milliseconds: until then it may merely be slow. */
const MIN_SILENCE_MS = 200;

/** What is known of a call that has no answer yet. */
type Liveness =
  | { readonly kind: "waiting" }
  /** The server was asked for a sign of life; `signsBefore` had come by then. */
  | { readonly kind: "asked"; readonly signsBefore: number }
  /** The server lives: the call is merely slow. */
  | { readonly kind: "slow" }
  /** {@linkcode WatchedCall.heard} has settled, but the end of the call is still of use. */
  | { readonly kind: "silent"; readonly onLateEnd: (end: CallEnd) => void };

const WAITING: Liveness = { kind: "waiting" };
const SLOW: Liveness = { kind: "slow" };

/** A call that is watched for its deadline, and for silence: then another one may be made beside it. */
export class WatchedCall implements CallRequest {
  readonly content: HealthCall;
  /** Settles with the end of the call, or before it when the connection gives no sign of life. */
  readonly heard: Promise<CallEnd | Silence>;
  readonly #rpcTimeoutMs: number;
  readonly #endsBy: number;
  readonly #deadlines: Deadlines;
  #resolve!: (heard: CallEnd | Silence) => void;
  #call: Call | undefined;
  #end: CallEnd | undefined;
  #liveness: Liveness = WAITING;
  #timer: Deadline | undefined;
  #settledBy = Infinity;
  #hedgeMs = Infinity;

  /**
   * @param rpcTimeoutMs how long it may take from its sending on, in milliseconds
   * @param endsBy when it ends at the latest, in milliseconds of `performance.now()`
   */
  constructor(content: HealthCall, rpcTimeoutMs: number, endsBy: number, deadlines: Deadlines) {
    this.content = content;
    this.#rpcTimeoutMs = rpcTimeoutMs;
    this.#endsBy = endsBy;
    this.#deadlines = deadlines;
    this.heard = new Promise((resolve) => this.#resolve = resolve);
  }

  /** Holds how much time is left, for the server. */
  headerBlock(sentAt: number): Uint8Array {
    return this.content.headerBlock(this.timeoutAt(sentAt));
  }

  /** @returns how long it may take when it is sent at a moment of `performance.now()`, in milliseconds */
  timeoutAt(sentAt: number): number {
    return Math.max(1, Math.min(this.#rpcTimeoutMs, this.#endsBy - sentAt));
  }

  onEnd(end: CallEnd): void {
    this.#timer?.cancel();
    this.#end = end;
    if (this.#liveness.kind === "silent") this.#liveness.onLateEnd(end);
    else this.#resolve(end);
  }

  /**
   * Begins to watch it, once it has been sent.
   *
   * @param settingsTimeoutMs how long a new connection may be without the server's SETTINGS
   * @param hedgeMs how long it may be without an answer before a sign of life is asked for
   */
  watch(call: Call, settingsTimeoutMs: number, hedgeMs: number): void {
    this.#call = call;
    if (this.#end !== undefined) return; // ended at once, since the server takes no headers of this size
    this.#settledBy = call.sentAt + settingsTimeoutMs;
    this.#hedgeMs = hedgeMs;
    const timeoutMs = this.timeoutAt(call.sentAt);
    this.#lookIn(Math.min(hedgeMs, timeoutMs, settingsTimeoutMs), call, call.sentAt);
  }

  /** Has a sign of life asked for within `hedgeMs` milliseconds, unless that has been done. */
  hedgeWithin(hedgeMs: number): void {
    const call = this.#call;
    if (call === undefined || this.#liveness.kind !== "waiting" || this.#end !== undefined) return;
    const dueMs = call.sentAt + this.#hedgeMs - performance.now();
    if (dueMs <= hedgeMs) return;
    this.#hedgeMs = hedgeMs;
    this.#timer?.cancel();
    this.#lookIn(Math.min(hedgeMs, this.#endOf(call) - performance.now()), call);
  }

  /** @returns when its time is up, in milliseconds of `performance.now()` */
  #endOf({ sentAt }: Call): number {
    return sentAt + this.timeoutAt(sentAt);
  }

  #lookIn(ms: number, call: Call, from = performance.now()): void {
    this.#timer = this.#deadlines.setForOtherSide(
      (heldUp) => {
        const nextMs = this.#look(call, heldUp);
        if (nextMs !== undefined) this.#lookIn(nextMs, call);
      },
      ms,
      from,
    );
  }

  /** @returns in how many milliseconds to look again; `undefined` when the call is over */
  #look(call: Call, heldUp: boolean): number | undefined {
    const { connection } = call;
    const endsAt = this.#endOf(call);
    const nowEndsAt = connection.hasSettings ? endsAt : Math.min(endsAt, this.#settledBy);
    const leftMs = nowEndsAt - performance.now();
    if (leftMs <= 0) return this.#timedOut(connection, heldUp);
    const nextMs = Math.min(leftMs, LOOK_EVERY_MS);
    const liveness = this.#liveness;
    if (liveness.kind === "silent") return nextMs;
    if (connection.isServerLeaving) {
      this.#becomeSilent(true);
    } else if (liveness.kind === "waiting") {
      // Where the server was asked before this call was sent, what has come since then counts.
      const signsBefore = Math.max(connection.ping(), call.signsBefore);
      this.#liveness = { kind: "asked", signsBefore };
      return Math.min(nextMs, this.#hedgeMs);
    } else if (liveness.kind === "asked") {
      if (liveness.signsBefore === connection.signsOfLife) {
        connection.noteSilence();
        this.#becomeSilent(false);
      } else {
        this.#liveness = SLOW;
      }
    }
    return nextMs;
  }

  #becomeSilent(isLeaving: boolean): void {
    const { promise: ended, resolve: onLateEnd } = Promise.withResolvers<CallEnd>();
    this.#resolve({ kind: "silent", isLeaving, ended });
    this.#liveness = { kind: "silent", onLateEnd };
  }

  /**
   * Gives it up, and its connection too where that has been silent for long. Idempotent.
   *
   * @param answeredElsewhere whether another connection has answered: then a silent one is given up at once
   */
  cancel(answeredElsewhere = false): void {
    if (this.#end !== undefined) return;
    this.#timer?.cancel();
    this.#call?.cancel();
    const silentMs = this.#call?.connection.silentMs;
    if (silentMs === undefined) return;
    if (answeredElsewhere || silentMs >= MIN_SILENCE_MS) this.#call?.connection.drain("silent");
  }

  #timedOut(connection: Connection, heldUp: boolean): undefined {
    this.cancel();
    const kind = heldUp ? "held_up" : connection.hasSettings ? "timeout" : "no_settings";
    if (kind === "no_settings") connection.drain("silent");
    this.onEnd({ kind });
  }
}
