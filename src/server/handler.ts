import type { Checker, PendingCheck } from "../check/checker.ts";
import {
  damp,
  type Damping,
  describeStanding,
  type Standing,
  type Thresholds,
} from "../check/damping.ts";
import type { Observation } from "../check/single_flight.ts";
import { LruMap } from "../lru_map.ts";
import type { HangUp, Recorder } from "../metrics/recorder.ts";
import {
  formatRefusal,
  formatReply,
  type ReplyOptions,
  type Word,
  wordFor,
} from "../protocol/reply.ts";
import { type CheckRequest, type ParsedRequest, parseRequest } from "../protocol/request.ts";
import { type AgentFailure, type BackendVerdict, isAgentFailure } from "../protocol/verdict.ts";
import type { ClientPatience } from "./patience.ts";

/** How verdicts become replies. */
export interface HandlerOptions extends ReplyOptions, Thresholds {}

/** The other end of a connection. */
export interface Peer {
  /** Its IP address. */
  readonly host: string;
  /** Its address and port, for the log. */
  readonly text: string;
}

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

/** An answer younger than this, in milliseconds, is repeated where the agent itself cannot ask. */
const REPEATED_MS = 60_000;

/** Valid lines that are remembered as they were read. */
const MAX_PARSED = 10_000;

/** Lines whose last answers are remembered. */
const MAX_LAST_ANSWERS = 50_000;

/** The last real answers, by client and line. They outlive changes of the configuration. */
export class LastAnswers {
  readonly #answers = new LruMap<string, { readonly reply: string; readonly at: number }>(
    MAX_LAST_ANSWERS,
  );

  remember(peer: Peer, line: string, reply: string): void {
    this.#answers.set(`${peer.host} ${line}`, { reply, at: performance.now() });
  }

  /** @returns the answer of the last minute, if there was one */
  find(peer: Peer, line: string): string | undefined {
    const last = this.#answers.get(`${peer.host} ${line}`);
    if (last === undefined || performance.now() - last.at >= REPEATED_MS) return undefined;
    return last.reply;
  }
}

/** Gives the reply to a line: reads it, has the backend checked, damps, has the answer recorded. */
export class Handler {
  readonly #options: HandlerOptions;
  readonly #checker: Checker;
  readonly #damping: Damping;
  readonly #lastAnswers: LastAnswers;
  readonly #recorder: Recorder;
  readonly #patience: ClientPatience | undefined;
  readonly #ends: AskedEnds;
  readonly #parsed = new LruMap<string, ParsedRequest>(MAX_PARSED);

  /** @param patience how long clients wait; `undefined` where that is not learnt */
  constructor(
    options: HandlerOptions,
    checker: Checker,
    damping: Damping,
    lastAnswers: LastAnswers,
    recorder: Recorder,
    patience?: ClientPatience,
  ) {
    this.#options = options;
    this.#checker = checker;
    this.#damping = damping;
    this.#lastAnswers = lastAnswers;
    this.#recorder = recorder;
    this.#patience = patience;
    this.#ends = {
      checkEnded: () => recorder.checkEnded(),
      goodAnswerDelivered: ({ peer, line }, ageMs) =>
        patience?.onGoodAnswer(peer.host, line, ageMs),
      hungUp: (asked, request, hangUp, ageMs) => this.#hungUp(asked, request, hangUp, ageMs),
    };
  }

  /** @param line a request line without its end */
  handle(line: string, peer: Peer): PendingReply {
    const asked = new Asked(line, peer, this.#ends);
    try {
      const parsed = this.#parse(line);
      if (!parsed.ok) return asked.answered(this.#refuse(asked, parsed.reason));
      const { request } = parsed;
      if (!this.#checker.hasTlsProfile(request)) {
        return asked.answered(this.#refuse(asked, "the TLS profile does not exist"));
      }
      const patienceMs = this.#patience?.deadlineFor(peer.host, line);
      const check = this.#checker.check(request, patienceMs, asked.at);
      this.#recorder.checkBegun();
      asked.waitFor(request, check);
      asked.reply = check.observation.then((observation) => {
        try {
          return this.#replyTo(asked, request, observation);
        } catch (error) {
          return this.#bug(asked, error);
        }
      }, (error) => this.#bug(asked, error));
    } catch (error) {
      return asked.answered(this.#bug(asked, error));
    }
    return asked;
  }

  /** HAProxy asks the same again and again. */
  #parse(line: string): ParsedRequest {
    const known = this.#parsed.get(line);
    if (known !== undefined) return known;
    const parsed = parseRequest(line);
    if (parsed.ok) this.#parsed.set(line, parsed);
    return parsed;
  }

  #refuse(asked: Asked, reason: string): string {
    this.#recorder.recordInvalid(asked.line, reason, asked.peer.text, asked.traceId);
    return formatRefusal(reason, this.#options);
  }

  #bug(asked: Asked, error: unknown): string | undefined {
    asked.ended();
    const { line, peer, traceId } = asked;
    this.#recorder.recordBug(error, peer.text, traceId);
    return this.#lastAnswers.find(peer, line);
  }

  #replyTo(asked: Asked, request: CheckRequest, { verdict, run }: Observation): string | undefined {
    asked.ended();
    const { line, peer } = asked;
    if (isAgentFailure(verdict)) return this.#repeat(asked, request, verdict);
    const undamped = wordFor(verdict, this.#options.notServingReply);
    asked.good = undamped !== "down";
    const standing = this.#damp(request, peer, verdict, undamped, run);
    const note = describeStanding(standing);
    const { word } = standing;
    const durationMs = performance.now() - asked.at;
    this.#recorder.recordCheck({
      asked,
      request,
      peer: peer.text,
      verdict,
      word,
      note,
      durationMs,
    });
    const reply = formatReply(word, verdict, note, this.#options);
    this.#lastAnswers.remember(peer, line, reply);
    return reply;
  }

  #repeat(asked: Asked, request: CheckRequest, verdict: AgentFailure): string | undefined {
    const reply = this.#lastAnswers.find(asked.peer, asked.line);
    this.#recorder.recordAgentFailure({ asked, request, peer: asked.peer.text, verdict, reply });
    return reply;
  }

  #hungUp(asked: Asked, request: CheckRequest, hangUp: HangUp, ageMs: number): void {
    const { peer, line } = asked;
    this.#recorder.recordHangUp({ asked, request, peer, ageMs, hangUp });
    if (hangUp === "reset") this.#patience?.onReset(peer.host, line, request, ageMs);
  }

  #damp(
    request: CheckRequest,
    peer: Peer,
    verdict: BackendVerdict,
    word: Word,
    run: number,
  ): Standing {
    const { fall = this.#options.fall, rise = this.#options.rise } = request;
    const atOnce = verdict.kind === "not_serving" || verdict.kind === "denied";
    if (fall === 1 && rise === 1) return damp(undefined, word, atOnce, { fall, rise });
    // Lines that want other thresholds for the same backend have a count of their own.
    const key = `${peer.host} ${fall} ${rise} ${request.key}`;
    return this.#damping.judge(key, run, word, atOnce, { fall, rise });
  }
}

/** Told how lines end. */
interface AskedEnds {
  /** The check has an end or is given up; once for each that was begun. */
  checkEnded(): void;
  /** The client has the answer of a backend that is well. */
  goodAnswerDelivered(asked: Asked, ageMs: number): void;
  /** The client has gone before the answer. */
  hungUp(asked: Asked, request: CheckRequest, hangUp: HangUp, ageMs: number): void;
}

/** A line on its way to its reply. */
class Asked implements PendingReply {
  readonly line: string;
  readonly peer: Peer;
  /** In milliseconds of `performance.now()`. */
  readonly at = performance.now();
  reply: Promise<string | undefined> | string | undefined;
  /** Whether the backend itself has said something else than that it is down. */
  good = false;
  readonly #ends: AskedEnds;
  #check: PendingCheck | undefined;
  /** Of which nobody has said yet that its client has the answer, or has gone. */
  #open: CheckRequest | undefined;
  #traceId: string | undefined;

  constructor(line: string, peer: Peer, ends: AskedEnds) {
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
    // HAProxy resets when it has its answer, and that may overtake the end of the write. One that closed
    // politely did so while the check ran, as only its machine's answer to the reply has shown.
    if (request === undefined || !(hangUp === "closed" || hangUp === "reset" && running)) return;
    this.#open = undefined;
    this.#ends.hungUp(this, request, hangUp, at - this.at);
  }
}

/** Makes what joins the log lines of one request: 32 hex digits, the form of a W3C trace-id. */
export function newTraceId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}
