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
import { newTraceId } from "../observe/trace_id.ts";
import type { Recorder } from "../observe/recorder.ts";
import { formatRefusal, formatReply, type ReplyOptions, wordFor } from "../protocol/reply.ts";
import { type CheckRequest, type ParsedRequest, parseRequest } from "../protocol/request.ts";
import { type AgentFailure, type BackendVerdict, isAgentFailure } from "../protocol/verdict.ts";

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
  /** The client is gone: the check is given up, and `reply` may never settle. Idempotent. */
  abandon(): void;
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
  readonly #parsed = new LruMap<string, ParsedRequest>(MAX_PARSED);

  constructor(
    options: HandlerOptions,
    checker: Checker,
    damping: Damping,
    lastAnswers: LastAnswers,
    recorder: Recorder,
  ) {
    this.#options = options;
    this.#checker = checker;
    this.#damping = damping;
    this.#lastAnswers = lastAnswers;
    this.#recorder = recorder;
  }

  /** @param line a request line without its end */
  handle(line: string, peer: Peer): PendingReply {
    const asked = new Asked(line, peer);
    try {
      const parsed = this.#parse(line);
      if (!parsed.ok) return asked.answered(this.#refuse(asked, parsed.reason));
      const { request } = parsed;
      if (!this.#checker.hasTlsProfile(request)) {
        return asked.answered(this.#refuse(asked, "the TLS profile does not exist"));
      }
      const check = this.#checker.check(request, Infinity, asked.at);
      this.#recorder.checkBegun();
      asked.waitFor(check, () => this.#recorder.checkEnded());
      asked.reply = check.observation
        .then((observation) => this.#replyTo(asked, request, observation))
        .catch((error) => this.#bug(asked, error));
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
    const standing = this.#damp(request, peer, verdict, run);
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

  #damp(request: CheckRequest, peer: Peer, verdict: BackendVerdict, run: number): Standing {
    const word = wordFor(verdict, this.#options.notServingReply);
    const { fall = this.#options.fall, rise = this.#options.rise } = request;
    const atOnce = verdict.kind === "not_serving" || verdict.kind === "denied";
    if (fall === 1 && rise === 1) return damp(undefined, word, atOnce, { fall, rise });
    // Lines that want other thresholds for the same backend have a count of their own.
    const key = `${peer.host} ${fall} ${rise} ${request.key}`;
    return this.#damping.judge(key, run, word, atOnce, { fall, rise });
  }
}

/** A line on its way to its reply. */
class Asked implements PendingReply {
  readonly line: string;
  readonly peer: Peer;
  /** In milliseconds of `performance.now()`. */
  readonly at = performance.now();
  reply: Promise<string | undefined> | string | undefined;
  #check: PendingCheck | undefined;
  #onEnded: () => void = () => {};
  #traceId: string | undefined;

  constructor(line: string, peer: Peer) {
    this.line = line;
    this.peer = peer;
  }

  /** Made when it is first needed: most checks are not logged one by one. */
  get traceId(): string {
    return this.#traceId ??= newTraceId();
  }

  answered(reply: string | undefined): this {
    this.reply = reply;
    return this;
  }

  /** @param onEnded called once, when the check has an end or is given up */
  waitFor(check: PendingCheck, onEnded: () => void): void {
    this.#check = check;
    this.#onEnded = onEnded;
  }

  ended(): void {
    if (this.#check === undefined) return;
    this.#check = undefined;
    this.#onEnded();
  }

  abandon(): void {
    this.#check?.abandon();
    this.ended();
  }
}
