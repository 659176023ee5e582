import type { Call, Connection } from "../backend/connection.ts";
import type { DialFailure } from "../backend/dial.ts";
import { readHealthAnswer } from "../grpc/response.ts";
import { statusOfReset } from "../grpc/status.ts";
import type { HttpResponse } from "../http2/stream.ts";
import type { Verdict } from "../protocol/verdict.ts";
import type { CallEnd } from "./watched_call.ts";

/** What one attempt to check a backend has come to. */
export interface AttemptOutcome {
  readonly verdict: Verdict;
  /** Whether there was a whole answer: the backend, or what stands before it, has spoken. */
  readonly answered: boolean;
  /** Whether a new connection may well say something else. */
  readonly retryable: boolean;
}

/** A server has the same deadline, and its word of it may come a moment before ours. */
const NEARLY_ALL = 0.9;

export const RPC_TIMED_OUT = "The RPC did not end in time";

/** @returns what it means that there is no connection */
export function outcomeOfDial({ verdict, retryable }: DialFailure): AttemptOutcome {
  return { verdict, answered: false, retryable };
}

/**
 * @param name of what was asked: SERVING is remembered of a connection by it
 * @param tookMs how long it took, in milliseconds
 * @param timeoutMs how long it might take
 * @returns what the end of a call means
 */
export function outcomeOfCall(
  { connection }: Call,
  end: CallEnd,
  name: string,
  tookMs: number,
  timeoutMs: number,
): AttemptOutcome {
  switch (end.kind) {
    case "response": {
      const verdict = verdictOf(end.response, tookMs, timeoutMs);
      return answered(verdict, connection, name);
    }
    case "reset":
      return failedOn(connection, { kind: "rpc", ...statusOfReset(end.code) });
    case "refused":
      return failed({ kind: "rpc", code: "UNAVAILABLE", detail: end.reason }, true);
    case "lost": {
      const { verdict, final } = lostVerdict(connection, end.reason);
      return failed(verdict, !final && (!end.begun || isOld(connection)));
    }
    case "malformed": {
      const verdict = { kind: "rpc", code: "INTERNAL", detail: end.reason } as const;
      return failedOn(connection, verdict);
    }
    case "not_http2":
      return failed({ kind: "unreachable", detail: end.reason }, false);
    case "flooded":
      return failedOn(connection, { kind: "unreachable", detail: end.reason });
    case "timeout":
      return failed({ kind: "timeout", detail: RPC_TIMED_OUT }, false);
    case "no_settings": {
      const detail = "The peer sent no HTTP/2 SETTINGS in time";
      return failed({ kind: "timeout", detail }, false);
    }
    case "held_up": {
      const detail = "The agent was held up while the RPC was under way";
      return failed({ kind: "local", detail }, false);
    }
  }
}

/** Behind a balancer an old connection may lead to a server that is being replaced, and new ones to others. */
function answered(verdict: Verdict, connection: Connection, name: string): AttemptOutcome {
  if (verdict.kind === "serving") {
    connection.serves(name);
    return { verdict, answered: true, retryable: false };
  }
  const retryable = connection.hasServed(name);
  if (retryable) connection.drain("changed");
  return { verdict, answered: true, retryable };
}

/** Whether it has had calls before: then it, or another call on it, may be to blame for a failure. */
function isOld({ calls }: Connection): boolean {
  return calls > 1;
}

/** Another try goes to a new connection, and that one is kept in place of this. */
function failedOn(connection: Connection, verdict: Verdict): AttemptOutcome {
  const retryable = isOld(connection);
  if (retryable) connection.drain("changed");
  return failed(verdict, retryable);
}

function failed(verdict: Verdict, retryable: boolean): AttemptOutcome {
  return { verdict, answered: false, retryable };
}

const SERVING: Verdict = { kind: "serving" };

function verdictOf(response: HttpResponse, tookMs: number, timeoutMs: number): Verdict {
  const answer = readHealthAnswer(response);
  if (answer.ok) {
    const { status } = answer;
    return status === "SERVING" ? SERVING : { kind: "not_serving", status };
  }
  const { code, detail } = answer;
  return code === "DEADLINE_EXCEEDED" && tookMs > timeoutMs * NEARLY_ALL
    ? { kind: "timeout", detail: RPC_TIMED_OUT }
    : { kind: "rpc", code, detail };
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
