import { Backends, loadClient } from "../backends.ts";
import type { CheckTimings } from "../check/health_client.ts";
import type { Configuration } from "../config/configuration.ts";
import { Metrics } from "../metrics/metrics.ts";
import { formatHostPort } from "../protocol/host.ts";
import { formatReply, stateFor } from "../protocol/reply.ts";
import type { CheckRequest } from "../protocol/request.ts";
import { describeVerdict, isAgentFailure } from "../protocol/verdict.ts";

/** The steps in their order, and how they are called. */
const STEPS = { resolve: "resolve", connect: "connect", tls: "TLS", rpc: "RPC" };

/**
 * Runs one check by hand, as the agent would, and prints what came of it on stdout.
 *
 * @param json whether it is for a machine
 * @returns whether the backend is up; `undefined` when the agent could not ask
 */
export async function checkByHand(
  request: CheckRequest,
  configuration: Configuration,
  json: boolean,
): Promise<boolean | undefined> {
  const mistake = await loadClient(configuration, undefined);
  if (mistake !== undefined) {
    console.error(`haproxy-grpc-agent: ${mistake}`);
    return undefined;
  }
  const backends = new Backends(configuration, new Metrics());
  const startedAt = performance.now();
  const { observation } = backends.checkerFor(configuration).check(request);
  const { verdict, timings } = await observation;
  const durationMs = performance.now() - startedAt;
  backends.close();
  const { not_serving_reply: notServingReply, reply_reason: reason } = configuration.settings;
  const told = isAgentFailure(verdict) ? undefined : verdict;
  const state = told && stateFor(told, notServingReply);
  const reply = told && state &&
    formatReply(state, told, "", { notServingReply, reason }).trimEnd();
  const result = {
    backend: formatHostPort(request.host, request.port),
    ssl_flag: request.tls ? "ssl" : "no-ssl",
    authority: request.authority,
    service: request.service,
    verdict: verdict.kind,
    detail: describeVerdict(verdict),
    reply: reply ?? null,
    duration_ms: round(durationMs),
    timings_ms: Object.fromEntries(
      // An address needs no look-up; a check without any other step has ended in it.
      Object.entries({ resolve: isEmpty(timings) ? durationMs : 0, ...timings })
        .map(([step, ms]) => [step, round(ms)]),
    ),
  };
  const up = state === undefined ? undefined : state === "up";
  if (json) {
    console.log(JSON.stringify(result));
    return up;
  }
  const steps = Object.entries(STEPS)
    .filter(([step]) => step in result.timings_ms)
    .map(([step, label]) => `${label} ${result.timings_ms[step]} ms`);
  console.log(`backend   ${result.backend} ${result.ssl_flag} ${result.authority}`);
  console.log(`service   ${result.service === "" ? "(the server as a whole)" : result.service}`);
  console.log(`verdict   ${result.verdict}${result.detail === "" ? "" : `: ${result.detail}`}`);
  console.log(`timings   ${[...steps, `whole check ${result.duration_ms} ms`].join(", ")}`);
  console.log(`reply     ${reply ?? "(none: the agent could not ask)"}`);
  return up;
}

function isEmpty(timings: CheckTimings): boolean {
  return Object.keys(timings).length === 0;
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
