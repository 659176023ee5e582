import type { Call, Connection } from "../backend/connection.ts";
import type { DialFailure } from "../backend/dial.ts";
import { readHealthAnswer, statusOfReset } from "../grpc/response.ts";
import type { HttpResponse } from "../http2/stream.ts";
import type { Verdict } from "../protocol/verdict.ts";
import { type CheckProgress, RPC_HELD_UP, RPC_TIMED_OUT } from "./health_client.ts";
import type { CallEnd } from "./watched_call.ts";

/** What one attempt to check a backend has come to. */
export interface AttemptOutcome {
  readonly verdict: Verdict;
  /** Whether there was a whole answer: the backend, or what stands before it, has spoken. */
  readonly answered: boolean;
  /** Whether a new connection may well say something else. */
  readonly retryable: boolean;
}

/** @returns what it means that there is no connection */
export function outcomeOfDial({ verdict, retryable }: DialFailure): AttemptOutcome {
  return { verdict, answered: false, retryable };
}

/**
 * Also tells the call's connection what the end means for it.
 *
 * @param key of what was asked: by it a connection remembers that SERVING was said
 * @param tookMs how long the call took, in milliseconds
 * @param timeoutMs how long it might have taken, in milliseconds
 * @returns what the end of a call means
 */
export function outcomeOfCall(
  { connection }: Call,
  end: CallEnd,
  key: string,
  tookMs: number,
  timeoutMs: number,
): AttemptOutcome {
  const verdict = verdictOfEnd(end, connection, tookMs, timeoutMs);
  const hasSaidServing = connection.hasSaidServing(key);
  const retryable = isRetryable(end, verdict, connection, hasSaidServing);
  if (verdict.kind === "serving") connection.saidServing(key);
  // Another connection takes the place of this one: at once for the next attempt or, after a timeout, for the next
  // check; otherwise soon.
  else if (retryable ? isOld(connection) : verdict.kind === "timeout" && hasSaidServing) {
    connection.drain("changed");
  } else if (verdict.kind !== "local") connection.doubt();
  return { verdict, answered: end.kind === "response", retryable };
}

/** @returns what the end of a call says of the backend */
function verdictOfEnd(
  end: CallEnd,
  connection: Connection,
  tookMs: number,
  timeoutMs: number,
): Verdict {
  switch (end.kind) {
    case "response":
      return verdictOfAnswer(end.response, tookMs, timeoutMs);
    case "reset":
      return verdictOfStatus(statusOfReset(end.code), tookMs, timeoutMs);
    case "refused":
      return { kind: "rpc", code: "UNAVAILABLE", detail: end.reason };
    case "malformed":
      return { kind: "rpc", code: "INTERNAL", detail: end.reason };
    case "lost":
      return verdictOfLoss(connection, end.reason);
    case "not_http2":
    case "flooded":
      return { kind: "unreachable", detail: end.reason };
    case "timeout":
      return { kind: "timeout", detail: RPC_TIMED_OUT };
    case "no_settings":
      return { kind: "timeout", detail: "The peer sent no HTTP/2 SETTINGS in time" };
    case "held_up":
      return { kind: "local", detail: RPC_HELD_UP };
  }
}

/** Whether the connection may be to blame, so that a new one may well say something else. */
function isRetryable(
  end: CallEnd,
  verdict: Verdict,
  connection: Connection,
  hasSaidServing: boolean,
): boolean {
  switch (end.kind) {
    case "response":
      // Behind a balancer an old connection may lead to a server that is being replaced, and new ones to others.
      return verdict.kind !== "serving" && hasSaidServing;
    case "refused":
      return true;
    case "lost":
      return isOld(connection) || connection.tlsFailure?.isAlert !== true && !end.begun;
    case "reset":
    case "malformed":
    case "flooded":
      return isOld(connection);
    case "not_http2":
    case "timeout":
    case "no_settings":
    case "held_up":
      return false;
  }
}

/** Whether it has carried other calls: then the connection, or one of those, may be to blame for a failure. */
function isOld({ callsCarried }: Connection): boolean {
  return callsCarried > 1;
}

const SERVING: Verdict = { kind: "serving" };

function verdictOfAnswer(response: HttpResponse, tookMs: number, timeoutMs: number): Verdict {
  const answer = readHealthAnswer(response);
  if (answer.ok) {
    const { status } = answer;
    return status === "SERVING" ? SERVING : { kind: "not_serving", status };
  }
  return verdictOfStatus(answer, tookMs, timeoutMs);
}

/**
 * The server knows the deadline too, and may end the call a moment before the agent does. After this share of the
 * time that counts as our own timeout.
 */
const NEARLY_ALL = 0.9;

/**
 * The statuses with which servers end a call at its deadline: DEADLINE_EXCEEDED for most, CANCELLED for tonic, and
 * for grpc-java, which resets the stream with CANCEL.
 */
const AT_DEADLINE: readonly string[] = ["DEADLINE_EXCEEDED", "CANCELLED"];

function verdictOfStatus(
  { code, detail }: { readonly code: string; readonly detail: string },
  tookMs: number,
  timeoutMs: number,
): Verdict {
  return AT_DEADLINE.includes(code) && tookMs > timeoutMs * NEARLY_ALL
    ? { kind: "timeout", detail: RPC_TIMED_OUT }
    : { kind: "rpc", code, detail };
}

/**
 * With TLS 1.3 a server judges the client's certificate after the handshake has ended for the client: it
 * sends an alert, or merely closes.
 */
function verdictOfLoss(
  { destination: { tls }, tlsFailure, signsOfLife }: Connection,
  reason: string,
): Verdict {
  if (tls === undefined || signsOfLife > 0 || tlsFailure?.isAlert === false) {
    return { kind: tlsFailure === undefined ? "unreachable" : "tls", detail: reason };
  }
  const how = tlsFailure?.reason ?? "The peer closed the connection";
  const question = tls.profile.settings.certFile === undefined
    ? "does it demand a client certificate?"
    : "does it refuse the client certificate?";
  return { kind: "tls", detail: `${how} after the TLS handshake: ${question}` };
}

/** If a name waited longer than this share of the check's time to be looked up, a timeout is the agent's fault. */
const MAX_QUEUED_SHARE = 1 / 4;

/**
 * @param heldUp whether the agent's own process stood still meanwhile
 * @param timeoutMs how much time the check had, in milliseconds
 * @param queuedMs how much of it the name waited for its look-up to begin
 * @param progress how far the call is, if it has begun
 * @returns the verdict on a check whose time is up
 */
export function verdictOfTimeout(
  heldUp: boolean,
  timeoutMs: number,
  queuedMs: number,
  progress: CheckProgress | undefined,
): Verdict {
  if (progress?.answer !== undefined) return progress.answer;
  if (heldUp) return { kind: "local", detail: "The agent was held up during the check" };
  if (queuedMs > timeoutMs * MAX_QUEUED_SHARE) {
    return { kind: "local", detail: "The name had to wait for its turn to be looked up" };
  }
  if (progress?.lack !== undefined) return { kind: "local", detail: progress.lack };
  const waitedFor = progress?.waitsFor ?? "The name was not resolved in time";
  return { kind: "timeout", detail: `${waitedFor}: ${Math.round(timeoutMs)} ms` };
}
