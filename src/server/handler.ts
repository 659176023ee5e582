import type { Checker, PendingCheck } from "../check/checker.ts";
import { type Damping, describeStanding, type Thresholds } from "../check/damping.ts";
import type { Observation } from "../check/single_flight.ts";
import { LruMap } from "../lru_map.ts";
import {
  type AgentState,
  formatRefusal,
  formatReply,
  type ReplyOptions,
  stateFor,
} from "../protocol/reply.ts";
import { type CheckRequest, type ParsedRequest, parseRequest } from "../protocol/request.ts";
import { type AgentFailure, type BackendVerdict, isAgentFailure } from "../protocol/verdict.ts";
import type { HangUp, Peer, PendingReply } from "./connection.ts";
import type { ClientPatience } from "./patience.ts";

/** How verdicts become replies. */
export interface HandlerOptions extends ReplyOptions, Thresholds {}

/** A line, and the client that has sent it. */
export interface Asked {
  readonly line: string;
  readonly peer: Peer;
  /** Joins the log lines of this request; made when it is first read. */
  readonly traceId: string;
}

/** A check that was answered. */
export interface AnsweredCheck {
  readonly asked: Asked;
  readonly request: CheckRequest;
  readonly verdict: BackendVerdict;
  /** What HAProxy is told. */
  readonly state: AgentState;
  /** What damping made of it; empty for nothing. */
  readonly note: string;
  /** From the line to the verdict, in milliseconds. */
  readonly durationMs: number;
}

/** A check that could not be made, because the agent itself lacked something. */
export interface FailedCheck {
  readonly asked: Asked;
  readonly request: CheckRequest;
  readonly verdict: AgentFailure;
  /** The answer that was repeated; `undefined` where there was none. */
  readonly reply: string | undefined;
}

/** A check whose client went before the answer. */
export interface HungUpCheck {
  readonly asked: Asked;
  readonly request: CheckRequest;
  readonly hangUp: HangUp;
  /** From the line to the hang-up, in milliseconds. */
  readonly ageMs: number;
}

/** Told what becomes of each line: it counts, logs and remembers. */
export interface CheckRecorder {
  /** A check begins; {@linkcode checkEnded} is called for each, whatever comes of it. */
  checkBegun(): void;
  /** A check has ended, even one that nobody waits for any more. */
  checkEnded(): void;
  /** A check has been answered. */
  recordCheck(check: AnsweredCheck): void;
  /** A line that is no request; it was answered `down`. */
  recordInvalid(asked: Asked, reason: string): void;
  /** A check that could not be made, because the agent itself lacked something. */
  recordAgentFailure(check: FailedCheck): void;
  /** A check whose client went before the answer: HAProxy keeps the server as it was. */
  recordHangUp(check: HungUpCheck): void;
  /** A bug in the agent, outside the check itself. */
  recordBug(asked: Asked, error: unknown): void;
}

/** How many valid lines are remembered with their requests. */
const MAX_PARSED = 10_000;

/** Lines longer than this, in characters, are parsed each time: HAProxy's own are shorter. */
const MAX_PARSED_LENGTH = 1024;

/** Gives the reply to a line: reads it, has the backend checked, damps, has the answer recorded. */
export class Handler {
  readonly #options: HandlerOptions;
  readonly #checker: Checker;
  readonly #damping: Damping;
  readonly #recorder: CheckRecorder;
  readonly #patience: ClientPatience | undefined;
  readonly #parsed = new LruMap<string, ParsedRequest>(MAX_PARSED);

  /** @param patience how long clients wait; `undefined` where that is not learnt */
  constructor(
    options: HandlerOptions,
    checker: Checker,
    damping: Damping,
    recorder: CheckRecorder,
    patience?: ClientPatience,
  ) {
    this.#options = options;
    this.#checker = checker;
    this.#damping = damping;
    this.#recorder = recorder;
    this.#patience = patience;
  }

  /** @param line a request line without its end */
  handle(line: string, peer: Peer): PendingReply {
    const asked = new AskedLine(line, peer, this.#recorder, this.#patience);
    try {
      const parsed = this.#parse(line);
      if (!parsed.ok) return asked.withReply(this.#refuse(asked, parsed.reason));
      const { request } = parsed;
      asked.key = `${peer.host} ${request.lineKey}`;
      if (!this.#checker.hasTlsProfile(request)) {
        return asked.withReply(this.#refuse(asked, "the TLS profile does not exist"));
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
      return asked.withReply(this.#bug(asked, error));
    }
    return asked;
  }

  /** Valid lines are remembered with their requests: HAProxy sends the same line at each interval. */
  #parse(line: string): ParsedRequest {
    const known = this.#parsed.get(line);
    if (known !== undefined) return known;
    // A substring keeps its whole string alive in V8: without the runs of blanks that is a short one.
    if (line.length > MAX_PARSED_LENGTH) return parseRequest(line.replace(/[ \t]+/g, " "));
    const parsed = parseRequest(line);
    if (parsed.ok) this.#parsed.set(line, parsed);
    return parsed;
  }

  #refuse(asked: AskedLine, reason: string): string {
    this.#recorder.recordInvalid(asked, reason);
    return formatRefusal(reason, this.#options);
  }

  #bug(asked: AskedLine, error: unknown): string | undefined {
    asked.ended();
    this.#recorder.recordBug(asked, error);
    return this.#lastReply(asked);
  }

  #replyTo(
    asked: AskedLine,
    request: CheckRequest,
    { verdict, run }: Observation,
  ): string | undefined {
    asked.ended();
    if (isAgentFailure(verdict)) return this.#repeat(asked, request, verdict);
    const undamped = stateFor(verdict, this.#options.notServingReply);
    asked.good = undamped !== "down";
    const { fall = this.#options.fall, rise = this.#options.rise } = request;
    const standing = this.#damping.judge(asked.key, run, verdict, undamped, { fall, rise });
    const note = describeStanding(standing);
    const { state } = standing;
    const durationMs = performance.now() - asked.at;
    this.#recorder.recordCheck({ asked, request, verdict, state, note, durationMs });
    return formatReply(state, verdict, note, this.#options);
  }

  #repeat(asked: AskedLine, request: CheckRequest, verdict: AgentFailure): string | undefined {
    const reply = this.#lastReply(asked);
    this.#recorder.recordAgentFailure({ asked, request, verdict, reply });
    return reply;
  }

  /** @returns the last answer, if it is a minute old at most, written as the options in force have it */
  #lastReply({ key }: AskedLine): string | undefined {
    const last = this.#damping.lastAnswer(key);
    if (last === undefined) return undefined;
    const { verdict, standing } = last;
    return formatReply(standing.state, verdict, describeStanding(standing), this.#options);
  }
}

/** A line on its way to its reply. */
class AskedLine implements Asked, PendingReply {
  readonly line: string;
  readonly peer: Peer;
  /** Client and line, for damping; empty while the line is not parsed. */
  key = "";
  /** In milliseconds of `performance.now()`. */
  readonly at = performance.now();
  reply: Promise<string | undefined> | string | undefined;
  /** Whether the undamped verdict is no `down`: then the client has waited for the answer of a healthy backend. */
  good = false;
  readonly #recorder: CheckRecorder;
  readonly #patience: ClientPatience | undefined;
  #check: PendingCheck | undefined;
  /** The request, as long as a hang-up may be recorded for it. */
  #open: CheckRequest | undefined;
  #traceId: string | undefined;

  constructor(
    line: string,
    peer: Peer,
    recorder: CheckRecorder,
    patience: ClientPatience | undefined,
  ) {
    this.line = line;
    this.peer = peer;
    this.#recorder = recorder;
    this.#patience = patience;
  }

  get traceId(): string {
    return this.#traceId ??= newTraceId();
  }

  withReply(reply: string | undefined): this {
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
    this.#recorder.checkEnded();
  }

  delivered(): void {
    if (!this.good) return;
    this.good = false;
    this.#patience?.onGoodAnswer(this.peer.host, this.line, performance.now() - this.at);
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
    const { peer, line } = this;
    const ageMs = at - this.at;
    this.#recorder.recordHangUp({ asked: this, request, ageMs, hangUp });
    if (hangUp === "reset") this.#patience?.onReset(peer.host, line, request, ageMs);
  }
}

/** Makes what joins the log lines of one request: 32 hex digits, the form of a W3C trace-id. */
function newTraceId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}
