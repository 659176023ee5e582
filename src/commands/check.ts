import { Backends, loadClient } from "../backends.ts";
import type { Configuration } from "../config/configuration.ts";
import { formatHostPort } from "../protocol/host.ts";
import { formatReply, stateFor } from "../protocol/reply.ts";
import type { CheckRequest } from "../protocol/request.ts";
import { describeVerdict, isAgentFailure, type Verdict } from "../protocol/verdict.ts";

/** The steps in their order, and their names in the text. */
const STEPS = { resolve: "resolve", connect: "connect", tls: "TLS", rpc: "RPC" };

/** What came of a check by hand, or why there was none. */
export type CheckedByHand =
  | {
    readonly ok: true;
    /** Whether the backend is up; `undefined` when the agent could not ask. */
    readonly up: boolean | undefined;
    /** What is to be printed of it. */
    readonly text: string;
  }
  | { readonly ok: false; readonly mistake: string };

/**
 * Runs one check by hand, as the agent would.
 *
 * @param json whether the text is for a machine
 */
export async function checkByHand(
  request: CheckRequest,
  configuration: Configuration,
  json: boolean,
): Promise<CheckedByHand> {
  const mistake = await loadClient(configuration, undefined);
  if (mistake !== undefined) return { ok: false, mistake };
  const check = await timedCheck(request, configuration);
  const { not_serving_reply: notServingReply, reply_reason: reason } = configuration.settings;
  const verdict = isAgentFailure(check.verdict) ? undefined : check.verdict;
  const state = verdict && stateFor(verdict, notServingReply);
  const reply = verdict && state &&
    formatReply(state, verdict, "", { notServingReply, reason }).trimEnd();
  const result = resultOf(request, check, reply);
  return {
    ok: true,
    up: state === undefined ? undefined : state === "up",
    text: json ? JSON.stringify(result) : textOf(result),
  };
}

/** A check, and what its time went into. */
interface TimedCheck {
  readonly verdict: Verdict;
  /** The whole check, in milliseconds. */
  readonly durationMs: number;
  /** By step, in milliseconds. */
  readonly steps: Readonly<Record<string, number>>;
}

async function timedCheck(
  request: CheckRequest,
  configuration: Configuration,
): Promise<TimedCheck> {
  let dialledMs: number | undefined;
  let connected: Connected | undefined;
  const elapsedMs = () => performance.now() - startedAt;
  const backends = new Backends(configuration, {
    onOpened: () => dialledMs ??= elapsedMs(),
    onConnected: (tlsMs) => connected = { atMs: elapsedMs(), tlsMs },
    onClosed: () => {},
    onCoalesced: () => {},
    onHedged: () => {},
  });
  const checker = backends.checkerFor(configuration);
  const startedAt = performance.now();
  const { verdict } = await checker.check(request).observation;
  const durationMs = elapsedMs();
  backends.close();
  // With grpc-js nobody tells when there is a connection.
  const afterName = configuration.settings.grpc_client === "native" ? "connect" : "rpc";
  return { verdict, durationMs, steps: stepsOf(dialledMs, connected, durationMs, afterName) };
}

/** @returns the form of `--json` */
function resultOf(
  request: CheckRequest,
  { verdict, durationMs, steps }: TimedCheck,
  reply: string | undefined,
) {
  return {
    backend: formatHostPort(request.host, request.port),
    ssl_flag: request.tls ? "ssl" : "no-ssl",
    authority: request.authority,
    service: request.service,
    verdict: verdict.kind,
    detail: describeVerdict(verdict),
    reply: reply ?? null,
    duration_ms: round(durationMs),
    timings_ms: Object.fromEntries(
      Object.entries(steps).map(([step, ms]) => [step, round(ms)]),
    ),
  };
}

/** @returns the same for people */
function textOf(result: ReturnType<typeof resultOf>): string {
  const { backend, ssl_flag: flag, authority, service, verdict, detail, reply } = result;
  const steps = Object.entries(STEPS)
    .filter(([step]) => step in result.timings_ms)
    .map(([step, label]) => `${label} ${result.timings_ms[step]} ms`);
  return [
    `backend   ${backend} ${flag} ${authority}`,
    `service   ${service === "" ? "(the server as a whole)" : service}`,
    `verdict   ${verdict}${detail === "" ? "" : `: ${detail}`}`,
    `timings   ${[...steps, `whole check ${result.duration_ms} ms`].join(", ")}`,
    `reply     ${reply ?? "(none: the agent could not ask)"}`,
  ].join("\n");
}

/** When a connection was there, in milliseconds since the check began, and how much of that TLS took. */
interface Connected {
  readonly atMs: number;
  readonly tlsMs: number | undefined;
}

/**
 * @returns how long each step that began took, in milliseconds; failed attempts at other addresses count as
 * `connect`
 */
function stepsOf(
  dialledMs: number | undefined,
  connected: Connected | undefined,
  durationMs: number,
  afterName: "connect" | "rpc",
): Readonly<Record<string, number>> {
  if (dialledMs === undefined) return { resolve: durationMs };
  if (connected === undefined) return { resolve: dialledMs, [afterName]: durationMs - dialledMs };
  const { atMs, tlsMs = 0 } = connected;
  return {
    resolve: dialledMs,
    connect: atMs - dialledMs - tlsMs,
    ...connected.tlsMs !== undefined && { tls: tlsMs },
    rpc: durationMs - atMs,
  };
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
