import type { Call, CallRequest, Connection } from "../backend/connection.ts";
import type { Deadline, Deadlines } from "../deadline.ts";
import type { HealthCall } from "../grpc/request.ts";
import { isDecided } from "../grpc/response.ts";
import type { StreamEnd } from "../http2/stream.ts";

/**
 * How a call ended; without a word of the server's: `timeout`, `no_settings` (on a new connection it has not
 * even sent its SETTINGS), and `held_up` (the agent stood still meanwhile).
 */
export type CallEnd = StreamEnd | { readonly kind: "timeout" | "no_settings" | "held_up" };

/** No answer and no sign of life, so far. */
export interface Silence {
  readonly kind: "silent";
  /** Whether the server has said GOAWAY: it is not that it is dead, but it may never answer this one. */
  readonly isLeaving: boolean;
  readonly ended: Promise<CallEnd>;
}

/** How long a sign of life may take, and how often a slow call is looked at, in milliseconds. */
const MAX_PING_MS = 250;

/** A connection that gives no sign of life for so long is given up, in milliseconds; one may merely be slow. */
const MIN_SILENCE_MS = 200;

/** A call, and whether it looks as though no answer will come. */
export class WatchedCall {
  /** Settles with the end of the call, or before it when the connection gives no sign of life. */
  readonly heard: Promise<CallEnd | Silence>;
  /** How long it may take from its sending on, in milliseconds. */
  timeoutMs = 0;
  readonly #deadlines: Deadlines;
  #call: Call | undefined;
  #end: CallEnd | undefined;
  #onEnd: (end: CallEnd) => void;
  readonly #onSilent: (isLeaving: boolean) => void;
  #timer: Deadline | undefined;
  #silent = false;

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
    const { promise, resolve } = Promise.withResolvers<CallEnd | Silence>();
    this.heard = promise;
    this.#onEnd = resolve;
    this.#onSilent = (isLeaving) => {
      const { promise: ended, resolve: onEnd } = Promise.withResolvers<CallEnd>();
      this.#onEnd = onEnd;
      resolve({ kind: "silent", isLeaving, ended });
    };
  }

  /**
   * @param timeoutMs asked when it is sent: how long it may take then, in milliseconds
   * @returns what is to be sent, so that its end is heard here
   */
  request(
    { headerListBytes, body, headerBlock }: HealthCall,
    timeoutMs: () => number,
  ): CallRequest {
    return {
      headerListBytes,
      body,
      isDecided,
      headerBlock: () => {
        this.timeoutMs = timeoutMs();
        return headerBlock(this.timeoutMs);
      },
      onEnd: (end) => this.#ended(end),
    };
  }

  /**
   * It has been sent: begins to watch it.
   *
   * @param settingsTimeoutMs how long a new connection may be without the server's SETTINGS
   * @param hedgeMs how long it may be without an answer before a sign of life is asked for
   */
  watch(call: Call, settingsTimeoutMs: number, hedgeMs: number): void {
    this.#call = call;
    if (this.#end !== undefined) return;
    const endsAt = call.sentAt + this.timeoutMs;
    const settledBy = call.sentAt + settingsTimeoutMs;
    // What has come by the time of the PING says nothing of the time after it.
    let signsBefore: number | undefined;
    const look = (heldUp: boolean) => {
      const { connection } = call;
      const nowEndsAt = connection.settled ? endsAt : Math.min(endsAt, settledBy);
      const leftMs = nowEndsAt - performance.now();
      if (leftMs <= 0) return this.#timedOut(connection, heldUp);
      let nextMs = Math.min(leftMs, MAX_PING_MS);
      const isLeaving = connection.isServerLeaving;
      if (!this.#silent && (isLeaving || signsBefore === connection.signsOfLife)) {
        this.#silent = true;
        if (!isLeaving) connection.silentSince ??= performance.now();
        this.#onSilent(isLeaving);
      } else if (signsBefore === undefined) {
        signsBefore = connection.ping() ? connection.signsOfLife : call.signsBefore;
        nextMs = Math.min(nextMs, hedgeMs);
      } else {
        signsBefore = -1; // it is merely slow
      }
      this.#timer = this.#deadlines.setForOtherSide(look, nextMs);
    };
    const firstMs = Math.min(hedgeMs, this.timeoutMs, settingsTimeoutMs);
    this.#timer = this.#deadlines.setForOtherSide(look, firstMs, call.sentAt);
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
    const { connection } = this.#call ?? {};
    if (connection?.silentSince === undefined) return;
    const silentMs = performance.now() - connection.silentSince;
    if (answeredElsewhere || silentMs >= MIN_SILENCE_MS) connection.drain("silent");
  }

  #timedOut(connection: Connection, heldUp: boolean): void {
    this.cancel();
    const kind = heldUp ? "held_up" : connection.settled ? "timeout" : "no_settings";
    if (kind === "no_settings") connection.drain("silent");
    this.#ended({ kind });
  }

  #ended(end: CallEnd): void {
    this.#timer?.cancel();
    this.#end = end;
    this.#onEnd(end);
  }
}
