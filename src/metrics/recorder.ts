import { type LogChecks, type Logger, type Logs, ThrottledWarnings } from "../log/log.ts";
import { LruMap } from "../lru_map.ts";
import { formatHostPort } from "../protocol/host.ts";
import {
  type BackendVerdict,
  describeVerdict,
  type ErrorType,
  errorType,
} from "../protocol/verdict.ts";
import type {
  AnsweredCheck,
  Asked,
  CheckRecorder,
  FailedCheck,
  HungUpCheck,
} from "../server/handler.ts";
import type { LearntPatience, PatienceObserver } from "../server/patience.ts";
import type { BackendHistory } from "../status/history.ts";
import { ADVICE, adviseOnHangUp } from "../status/status.ts";
import type { Metrics } from "./metrics.ts";

/** An invalid line is logged up to this many characters. */
const LOGGED_LINE_LENGTH = 200;

/** An error is logged up to this many characters: a backend's words are as long as it likes. */
const LOGGED_ERROR_LENGTH = 2000;

/** Clients and backends whose last hang-up is remembered. */
const MAX_HANG_UPS = 10_000;

/** The times of two hang-ups are the same if they differ by less than this part. */
const SAME_AGE = 0.1;

/** Counts, logs and remembers what came of each line. */
export class Recorder implements CheckRecorder, PatienceObserver {
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #warnings: {
    readonly invalid: ThrottledWarnings;
    readonly denied: ThrottledWarnings;
    readonly noVerdict: ThrottledWarnings;
    readonly hangUps: ThrottledWarnings;
  };
  /** After how long each client hung up on each backend last, and when that was last logged as a warning. */
  readonly #hangUps = new LruMap<string, { ageMs: number; toldMs: number }>(MAX_HANG_UPS);
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
      hangUps: new ThrottledWarnings(logs.checker),
    };
    this.#history = history;
    this.logChecks = logChecks;
  }

  checkBegun(): void {
    this.#metrics.checkBegun();
  }

  checkEnded(): void {
    this.#metrics.checkEnded();
  }

  recordInvalid(asked: Asked, reason: string): void {
    this.#metrics.countAnswer("error", "parse_error");
    this.#warnings.invalid.warn("Invalid line", () => ({
      trace_id: asked.traceId,
      peer: asked.peer.text,
      error_type: "parse_error",
      error: reason,
      line: asked.line.slice(0, LOGGED_LINE_LENGTH),
    }));
  }

  recordBug(asked: Asked, error: unknown): void {
    this.#metrics.countAnswer("error", "internal");
    this.#log.error("A bug in the agent ended a check", {
      trace_id: asked.traceId,
      peer: asked.peer.text,
      error_type: "internal",
      error: describeVerdict({ kind: "internal", error }),
    });
  }

  recordAgentFailure({ asked, request, verdict, reply }: FailedCheck): void {
    this.#metrics.countAnswer("error", verdict.kind);
    const fields = () => ({
      trace_id: asked.traceId,
      peer: asked.peer.text,
      backend: formatHostPort(request.host, request.port),
      ...(reply === undefined ? {} : { repeated: reply.trimEnd() }),
      error_type: verdict.kind,
      error: describeVerdict(verdict),
    });
    if (this.#history.addUnasked(request, verdict, asked.peer.text)) {
      this.#log.error("The agent has not been able to ask this backend for a minute", fields);
    }
    if (verdict.kind === "internal") this.#log.error("A bug in the agent ended a check", fields);
    else this.#warnings.noVerdict.warn("Check not made: the agent lacks something itself", fields);
  }

  recordHangUp({ asked, request, hangUp, ageMs }: HungUpCheck): void {
    const { peer } = asked;
    this.#metrics.countHangUp();
    this.#history.addHangUp(request, peer.text, ageMs);
    const fields = () => ({
      trace_id: asked.traceId,
      peer: peer.text,
      backend: formatHostPort(request.host, request.port),
      service: request.service,
      after_ms: Math.round(ageMs),
      by: hangUp,
      cure: adviseOnHangUp(ageMs),
    });
    const key = `${peer.host} ${request.key}`;
    const last = this.#hangUps.get(key);
    // The first may come of HAProxy being stopped; a second one after the same time shows its patience.
    const isTold = last === undefined ||
      isSameAge(ageMs, last.ageMs) && !isSameAge(ageMs, last.toldMs);
    this.#hangUps.set(key, { ageMs, toldMs: isTold ? ageMs : last.toldMs });
    if (isTold) this.#warnings.hangUps.warn("Check given up by its client", fields);
    else this.#log.debug("Check given up by its client", fields);
  }

  onLearnt(patience: LearntPatience): void {
    this.#warnings.hangUps.warn(
      "A client hangs up before the answer: it is answered sooner from now on",
      () => fieldsOfPatience(patience),
    );
  }

  onUnlearnt(patience: LearntPatience): void {
    this.#log.info("A client waits longer again", () => fieldsOfPatience(patience));
  }

  recordCheck(check: AnsweredCheck): void {
    const { asked, request, verdict, durationMs } = check;
    const type = errorType(verdict);
    this.#metrics.countAnswer(type === undefined ? resultOf(verdict) : "error", type);
    this.#metrics.observeCheck(durationMs / 1000);
    const changed = this.#history.add(request, check, asked.peer.text);
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
  { asked, request, state, note, durationMs, verdict }: AnsweredCheck,
  type: ErrorType | undefined,
): Record<string, unknown> {
  return {
    trace_id: asked.traceId,
    peer: asked.peer.text,
    backend: formatHostPort(request.host, request.port),
    ssl_flag: request.tls ? "ssl" : "no-ssl",
    authority: request.authority,
    service: request.service,
    status: state,
    ...(note === "" ? {} : { damping: note }),
    duration_ms: Math.round(durationMs * 1000) / 1000,
    ...(type === undefined ? {} : { error_type: type }),
    ...(verdict.kind === "serving"
      ? {}
      : { error: describeVerdict(verdict).slice(0, LOGGED_ERROR_LENGTH) }),
  };
}

function fieldsOfPatience(
  { client, question, ageMs, deadlineMs }: LearntPatience,
): Record<string, unknown> {
  return {
    peer: client,
    backend: formatHostPort(question.host, question.port),
    service: question.service,
    after_ms: Math.round(ageMs),
    answered_within_ms: Math.round(deadlineMs),
  };
}

function isSameAge(one: number, other: number): boolean {
  return Math.abs(one - other) < one * SAME_AGE;
}

/** What the backend itself has said. */
function resultOf(verdict: BackendVerdict): "up" | "down" {
  return verdict.kind === "serving" ? "up" : "down";
}
