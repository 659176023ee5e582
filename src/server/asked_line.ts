import type { PendingCheck } from "../check/checker.ts";
import type { CheckRequest } from "../protocol/request.ts";

/** The other end of a connection. */
export interface Peer {
  /** Its IP address. */
  readonly host: string;
  /** Its address and port, for the log. */
  readonly text: string;
}

/** How a client goes: by a reset (RST) while it waits for this line alone, as HAProxy does, or otherwise. */
export type HangUp = "reset" | "closed";

/** A line that has been asked and is not answered yet. */
export interface PendingReply {
  /**
   * Settles with the reply and its newline, or with `undefined` where silence is the reply: the connection
   * is closed then. Never rejects.
   */
  readonly reply: Promise<string | undefined> | string | undefined;
  /** Joins the log lines of this request. */
  readonly traceId: string;
  /** The reply is written, and the client was still there. Idempotent. */
  delivered(): void;
  /**
   * The check is given up, and `reply` may never settle. Idempotent.
   *
   * @param hangUp how the client has gone; `undefined` when it is the agent that closes
   * @param at when, in milliseconds of `performance.now()`
   */
  abandon(hangUp?: HangUp, at?: number): void;
}

/** Told how lines end. */
export interface AskedLineObserver {
  /** The check has an end or is given up; once for each that was begun. */
  checkEnded(): void;
  /** The client has the answer of a backend that is well. */
  goodAnswerDelivered(asked: AskedLine, ageMs: number): void;
  /** The client has gone before the answer. */
  hungUp(asked: AskedLine, request: CheckRequest, hangUp: HangUp, ageMs: number): void;
}

/** A line on its way to its reply. */
export class AskedLine implements PendingReply {
  readonly line: string;
  readonly peer: Peer;
  /** In milliseconds of `performance.now()`. */
  readonly at = performance.now();
  reply: Promise<string | undefined> | string | undefined;
  /** Whether the backend itself has said something else than that it is down. */
  good = false;
  readonly #ends: AskedLineObserver;
  #check: PendingCheck | undefined;
  /** What was asked, until it is told that the client has gone before the answer. */
  #open: CheckRequest | undefined;
  #traceId: string | undefined;

  constructor(line: string, peer: Peer, ends: AskedLineObserver) {
    this.line = line;
    this.peer = peer;
    this.#ends = ends;
  }

  /** Made when it is first needed: most checks are not logged one by one. */
  get traceId(): string {
    return this.#traceId ??= newTraceId();
  }

  answered(reply: string | undefined): this {
    this.reply = reply;
    return this;
  }

  waitFor(request: CheckRequest, check: PendingCheck): void {
    this.#open = request;
    this.#check = check;
  }

  ended(): void {
    if (this.#check === undefined) return;
    this.#check = undefined;
    this.#ends.checkEnded();
  }

  delivered(): void {
    if (!this.good) return;
    this.good = false;
    this.#ends.goodAnswerDelivered(this, performance.now() - this.at);
  }

  abandon(hangUp?: HangUp, at = performance.now()): void {
    const running = this.#check !== undefined;
    this.#check?.abandon();
    this.ended();
    const request = this.#open;
    // HAProxy resets as soon as it has its answer, and we may see the reset before our write has ended: that is
    // no hang-up. `closed` is only reported once the client's machine has refused the reply, so it always is one.
    if (request === undefined || !(hangUp === "closed" || hangUp === "reset" && running)) return;
    this.#open = undefined;
    this.#ends.hungUp(this, request, hangUp, at - this.at);
  }
}

/** Makes what joins the log lines of one request: 32 hex digits, the form of a W3C trace-id. */
function newTraceId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}
