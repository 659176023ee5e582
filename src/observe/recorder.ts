import type { Logger } from "./log.ts";
import { formatHostPort } from "../protocol/host.ts";
import type { CheckRequest } from "../protocol/request.ts";
import {
  type AgentFailure,
  type BackendVerdict,
  describeVerdict,
  type ErrorType,
  errorType,
} from "../protocol/verdict.ts";
import { ADVICE } from "./advice.ts";
import type { BackendHistory, HistoricCheck } from "./backend_history.ts";
import type { Logs } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { ThrottledWarnings } from "./throttled_warnings.ts";

/** An invalid line is logged up to this many characters. */
const LOGGED_LINE_LENGTH = 200;

/** An error is logged up to this many characters: a backend's words are as long as it likes. */
const LOGGED_ERROR_LENGTH = 2000;

/** Values of `log_checks`: which answers are logged at level `info`. */
export const LOG_CHECKS = ["all", "changes", "none"] as const;

/** A value of `log_checks`. */
export type LogChecks = (typeof LOG_CHECKS)[number];

/** A line whose log lines are joined by a trace id, made when it is first needed. */
export interface Traced {
  readonly traceId: string;
}

/** A check that was answered. */
export interface AnsweredCheck extends HistoricCheck {
  readonly asked: Traced;
  readonly request: CheckRequest;
  readonly verdict: BackendVerdict;
}

/** A check of which nothing has come to be known, for want of something of the agent's. */
export interface FailedCheck {
  readonly asked: Traced;
  readonly request: CheckRequest;
  /** The client's address and port. */
  readonly peer: string;
  readonly verdict: AgentFailure;
  /** The answer that was repeated; `undefined` where there was none. */
  readonly reply: string | undefined;
}

/** Counts, logs and remembers what came of each line. */
export class Recorder {
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #warnings: {
    readonly invalid: ThrottledWarnings;
    readonly denied: ThrottledWarnings;
    readonly noVerdict: ThrottledWarnings;
  };
  readonly #history: BackendHistory;
  /** Which answers are logged at level `info`. */
  logChecks: LogChecks;

  constructor(metrics: Metrics, logs: Logs, history: BackendHistory, logChecks: LogChecks) {
    this.#metrics = metrics;
    this.#log = logs.checker;
    this.#warnings = {
      invalid: new ThrottledWarnings(logs.protocol),
      denied: new ThrottledWarnings(logs.checker),
      noVerdict: new ThrottledWarnings(logs.checker, "error"),
    };
    this.#history = history;
    this.logChecks = logChecks;
  }

  /** A check begins; {@linkcode checkEnded} is called for each, whatever comes of it. */
  checkBegun(): void {
    this.#metrics.checkBegun();
  }

  /** A check has ended, even one that nobody waits for any more. */
  checkEnded(): void {
    this.#metrics.checkEnded();
  }

  /** A line that is no request; it was answered `down`. */
  recordInvalid(line: string, reason: string, peer: string, traceId: string): void {
    this.#metrics.countAnswer("error", "parse_error");
    this.#warnings.invalid.warn("Invalid line", () => ({
      trace_id: traceId,
      peer,
      error_type: "parse_error",
      error: reason,
      line: line.slice(0, LOGGED_LINE_LENGTH),
    }));
  }

  /** A bug in the agent, outside the check itself. */
  recordBug(error: unknown, peer: string, traceId: string): void {
    this.#metrics.countAnswer("error", "internal");
    this.#log.error("A bug in the agent ended a check", {
      trace_id: traceId,
      peer,
      error_type: "internal",
      error: describeVerdict({ kind: "internal", error }),
    });
  }

  /** A check that could not be made, because the agent itself lacked something. */
  recordAgentFailure({ asked, request, peer, verdict, reply }: FailedCheck): void {
    this.#metrics.countAnswer("error", verdict.kind);
    const fields = () => ({
      trace_id: asked.traceId,
      peer,
      backend: formatHostPort(request.host, request.port),
      ...(reply === undefined ? {} : { repeated: reply.trimEnd() }),
      error_type: verdict.kind,
      error: describeVerdict(verdict),
    });
    if (verdict.kind === "internal") this.#log.error("A bug in the agent ended a check", fields);
    else this.#warnings.noVerdict.warn("Check not made: the agent lacks something itself", fields);
  }

  /** A check, and what was answered. */
  recordCheck(check: AnsweredCheck): void {
    const { request, verdict, durationMs } = check;
    const type = errorType(verdict);
    this.#metrics.countAnswer(type === undefined ? resultOf(verdict) : "error", type);
    this.#metrics.observeCheck(durationMs / 1000);
    const changed = this.#history.add(request, check);
    // Made only for a line that is written.
    const fields = () => fieldsOf(check, type);
    if (this.logChecks === "all" || this.logChecks === "changes" && changed) {
      this.#log.info("Check answered", fields);
    }
    if (type === "denied") this.#warnings.denied.warn("Target denied", fields);
    else if (type !== undefined) this.#log[changed ? "error" : "debug"](ADVICE[type], fields);
  }
}

function fieldsOf(
  { asked, peer, request, word, note, durationMs, verdict }: AnsweredCheck,
  type: ErrorType | undefined,
): Record<string, unknown> {
  return {
    trace_id: asked.traceId,
    peer,
    backend: formatHostPort(request.host, request.port),
    ssl_flag: request.tls ? "ssl" : "no-ssl",
    authority: request.authority,
    service: request.service,
    status: word,
    ...(note === "" ? {} : { damping: note }),
    duration_ms: Math.round(durationMs * 1000) / 1000,
    ...(type === undefined ? {} : { error_type: type }),
    ...(verdict.kind === "serving"
      ? {}
      : { error: describeVerdict(verdict).slice(0, LOGGED_ERROR_LENGTH) }),
  };
}

/** What the backend itself has said. */
function resultOf(verdict: BackendVerdict): "up" | "down" {
  return verdict.kind === "serving" ? "up" : "down";
}
