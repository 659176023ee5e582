import type { EffectiveConfiguration } from "../config/configuration.ts";
import { formatHostPort } from "../protocol/host.ts";
import { AGENT_STATES, type AgentState } from "../protocol/reply.ts";
import type { BackendQuestion } from "../protocol/request.ts";
import type { LearntPatience } from "../server/patience.ts";
import { certificateWarning, type OwnCertificate } from "../tls/client_certificate.ts";
import { VERSION } from "../version.ts";
import type { BackendHistory, BackendRecord, Failure } from "./history.ts";

/** How many backends are shown. Those in trouble come first, so that those left out are well. */
const MAX_SHOWN = 1000;

/** How many clients' patience is shown for a backend. */
const MAX_CLIENTS_SHOWN = 10;

/** Lines answered: how many of each kind. */
export interface AnswerCounts {
  readonly results: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
}

/** What is counted since the start, and what there is at the moment. */
export interface StatusFigures {
  /** Lines answered: how many of each kind. */
  counts(): AnswerCounts;
  readonly checksInFlight: number;
  /** Open connections of clients. */
  readonly connections: number;
  /** Connections to backends that are not closed. */
  readonly channels: number;
}

/** Where the status is read from. */
export interface StatusSources {
  readonly history: BackendHistory;
  readonly metrics: StatusFigures;
  /** How far the kept connection is on which a check would be made, if there is one. */
  readonly channelFor: (question: BackendQuestion) => "ready" | "connecting" | undefined;
  /** What was learnt of clients that do not wait for their answers. */
  readonly learntPatience: () => Iterable<LearntPatience>;
  readonly configuration: () => EffectiveConfiguration;
  /** The client certificates. */
  readonly certificates: () => readonly OwnCertificate[];
  readonly ready: () => boolean;
  /** The time in milliseconds since 1970. */
  readonly now: () => number;
  /** The time since the start, in milliseconds, on the clock of the history. */
  readonly uptime: () => number;
}

/** What is known at one moment. Its form is that of `/api/status`; times are ISO 8601, in UTC. */
export type Status = ReturnType<typeof collectStatus>;

/** One backend in {@linkcode Status}. */
export type BackendStatus = ReturnType<typeof backendStatus>;

/** @returns all that there is to show: those first that an operator looks for */
export function collectStatus(sources: StatusSources) {
  const { history, metrics, channelFor } = sources;
  const records = [...history.records()].sort(compare);
  const now = sources.now();
  const uptime = sources.uptime();
  // From its age, since the clock may have been set meanwhile.
  const dateOf = (at: number) => iso(now - (uptime - at));
  const counts = metrics.counts();
  const patience = Map.groupBy(sources.learntPatience(), ({ question }) => question.key);
  return {
    version: VERSION,
    ready: sources.ready(),
    now: iso(now),
    started: dateOf(0),
    totals: {
      backends: countStates(records),
      wavering: records.filter(isWavering).length,
      unasked: records.filter(({ unasked }) => unasked !== undefined).length,
      unanswered: records.filter(({ state }) => state === "unanswered").length,
      hung_up: records.filter(({ hungUp }) => hungUp).length,
      answers: counts.results,
      errors: counts.errors,
      checks_in_flight: metrics.checksInFlight,
      connections: metrics.connections,
      channels: metrics.channels,
    },
    backends: records.slice(0, MAX_SHOWN).map((record) =>
      backendStatus(record, channelFor, dateOf, patience.get(record.question.key) ?? [])
    ),
    backends_left_out: Math.max(0, records.length - MAX_SHOWN),
    certificates: sources.certificates().map((one) => certificateStatus(one, new Date(now))),
    configuration: sources.configuration(),
  };
}

function backendStatus(
  record: BackendRecord,
  channelFor: StatusSources["channelFor"],
  dateOf: (at: number) => string,
  patience: readonly LearntPatience[],
) {
  const { question, lastFailure: failure, unasked, lastHangUp: hangUp } = record;
  return {
    backend: formatHostPort(question.host, question.port),
    service: question.service,
    authority: question.authority,
    ssl: question.tls,
    tls_profile: question.tlsProfile,
    state: record.state,
    since: dateOf(record.since),
    damping: record.note,
    last_check: {
      at: dateOf(record.lastAskedAt),
      good: record.lastGood,
      duration_ms: round(record.durations.lastMs),
      client: record.lastPeer,
    },
    last_failure: failure === undefined ? null : {
      at: dateOf(failure.at),
      error_type: failure.type,
      error: failure.detail,
      advice: ADVICE[failure.type],
    },
    unasked: unasked === undefined ? null : {
      since: dateOf(unasked.since),
      at: dateOf(unasked.at),
      error_type: unasked.type,
      error: unasked.detail,
      advice: ADVICE[unasked.type],
    },
    hang_ups: record.hangUps,
    last_hang_up: hangUp === undefined ? null : {
      at: dateOf(hangUp.at),
      after_ms: round(hangUp.ageMs),
      client: hangUp.peer,
      last: record.hungUp,
      advice: adviseOnHangUp(hangUp.ageMs),
    },
    learnt_patience: patience.slice(0, MAX_CLIENTS_SHOWN).map(({ client, ageMs, deadlineMs }) => ({
      client,
      after_ms: round(ageMs),
      answered_within_ms: round(deadlineMs),
    })),
    checks: record.checks,
    failures: record.failures,
    changes: record.changes,
    channel: channelFor(question) ?? ("none" as const),
    recent: record.durations.list().map(({ durationMs, failed }) => ({
      duration_ms: round(durationMs),
      failed,
    })),
  };
}

function certificateStatus(certificate: OwnCertificate, now: Date) {
  return {
    tls_profile: certificate.profile,
    subject: certificate.subject,
    valid_from: certificate.validFrom.toISOString(),
    valid_to: certificate.validTo.toISOString(),
    warning: certificateWarning(certificate, now) ?? null,
  };
}

/** The worst first, and of those the one whose state has changed last. */
function compare(a: BackendRecord, b: BackendRecord): number {
  return rank(a) - rank(b) || b.since - a.since || a.number - b.number;
}

function rank(record: BackendRecord): number {
  if (record.state === "down") return 0;
  if (record.unasked !== undefined || record.hungUp) return 1;
  if (record.state !== "up") return 2;
  return isWavering(record) ? 3 : record.changes > 0 ? 4 : 5;
}

/** Whether the last check was not good and damping still holds the state. */
function isWavering({ state, lastGood }: BackendRecord): boolean {
  return state === "up" && !lastGood;
}

function countStates(records: readonly BackendRecord[]): Record<AgentState, number> {
  const counts = Object.fromEntries(AGENT_STATES.map((state) => [state, 0])) as Record<
    AgentState,
    number
  >;
  for (const { state } of records) if (state !== "unanswered") counts[state]++;
  return counts;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}

/** Microseconds are enough. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** What failed, and what to look at: the words of the log, of the status page and of docs/operations.md. */
export const ADVICE: Readonly<Record<Failure["type"], string>> = {
  backend_unreachable: "Backend unreachable: is it listening there, and does it speak gRPC?",
  timeout: "Backend did not answer in time: is it overloaded, frozen, or behind a firewall?",
  tls:
    "TLS to the backend failed: does it speak TLS? If so, look at its certificate, and at tls_ca_file",
  dns: "Backend's name does not resolve: look at the name and at the resolver of this machine",
  rpc: "Health RPC failed: does the backend serve grpc.health.v1.Health, and know the service?",
  denied: "Target denied: if it is meant to be checked, add it to allow_backends",
  internal: "A bug in the agent ended a check: its log has the stack",
  local: "The agent could not ask: it or its machine lacks something",
  not_serving:
    "The backend was reached and does not call itself healthy: look at the backend itself",
};

/**
 * @param ageMs from the line to the hang-up, in milliseconds
 * @returns what to do about a client that does not wait for its answer
 */
export function adviseOnHangUp(ageMs: number): string {
  return `HAProxy hung up after ${Math.round(ageMs)} ms, before the answer; ` +
    "lower check_timeout_ms below it, or raise agent-inter or timeout check";
}
