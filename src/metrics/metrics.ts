import type * as prom from "prom-client";
import counter from "prom-client/lib/counter.js";
import gauge from "prom-client/lib/gauge.js";
import histogram from "prom-client/lib/histogram.js";
import registry from "prom-client/lib/registry.js";
import { CLOSE_REASONS, type CloseReason } from "../backend/connection.ts";
import type { PoolObserver } from "../backend/pool.ts";
import { ERROR_TYPES, type ErrorType } from "../protocol/verdict.ts";
import { type Rejection, REJECTIONS, type ServerObserver } from "../server/server.ts";
import type { AnswerCounts, StatusFigures } from "../status/status.ts";

/**
 * Only the files of prom-client that the agent uses are imported. Its main module also loads Node's cluster, HTTP and
 * performance hooks, which takes 2 MB of memory for default metrics that are not shown here.
 */

export type Gauge<Label extends string = string> = prom.Gauge<Label>;
export type Registry = prom.Registry;

const Counter: typeof prom.Counter = counter;
export const Gauge: typeof prom.Gauge = gauge;
const Histogram: typeof prom.Histogram = histogram;
export const Registry: typeof prom.Registry = registry;

/** How a line was answered: `up`, `down` (a backend said so), or without a word from the backend. */
export type CheckResult = "up" | "down" | "error";

/** The agent's metrics. Those without `haproxy_grpc_agent_` have the names that dashboards know from the Rust agent. */
export class Metrics implements PoolObserver, ServerObserver, StatusFigures {
  /** Also for metrics that are collected elsewhere, at each scrape. */
  readonly registry = new Registry();
  /** Counted here and handed on at a scrape: a labelled counter of the library costs a microsecond a check. */
  readonly #results = { up: 0, down: 0, error: 0 };
  readonly #errors = Object.fromEntries(ERROR_TYPES.map((type) => [type, 0])) as Record<
    ErrorType,
    number
  >;
  #checksInFlight = 0;
  #connections = 0;
  #channels = 0;
  readonly #duration = new Histogram({
    name: "check_duration_seconds",
    help: "Time from a request line to its verdict",
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 2],
    registers: [this.registry],
  });

  /** 1 while the configuration in force is the one that was last asked for. */
  readonly reloadSuccessful = new Gauge({
    name: "haproxy_grpc_agent_config_last_reload_successful",
    help: "Whether the configuration could be read at the start or at the last SIGHUP",
    registers: [this.registry],
  });

  readonly #rejected = new Counter({
    name: "haproxy_grpc_agent_connections_rejected_total",
    help: "Connections closed at once, by reason",
    labelNames: ["reason"],
    registers: [this.registry],
  });

  readonly #coalesced = new Counter({
    name: "haproxy_grpc_agent_checks_coalesced_total",
    help:
      "Checks that shared the RPC of an equal check, under way or (verdict_max_age_ms) just ended",
    registers: [this.registry],
  });

  readonly #abandoned = new Counter({
    name: "haproxy_grpc_agent_checks_abandoned_total",
    help: "Checks whose client hung up before the answer: HAProxy keeps the server as it was",
    registers: [this.registry],
  });

  readonly #backendConnections = new Counter({
    name: "haproxy_grpc_agent_backend_connections_opened_total",
    help: "Connections to backends that were begun",
    registers: [this.registry],
  });

  readonly #backendConnectionsClosed = new Counter({
    name: "haproxy_grpc_agent_backend_connections_closed_total",
    help:
      "Connections to backends that ended, by the peer (or never made) or by the agent, and why",
    labelNames: ["reason"],
    registers: [this.registry],
  });

  readonly #hedged = new Counter({
    name: "haproxy_grpc_agent_hedged_calls_total",
    help: "Calls that were made on a second connection as well, since the first was silent",
    registers: [this.registry],
  });

  /** All label values exist at 0 from the start, so that a first error is an increase. */
  constructor() {
    this.reloadSuccessful.set(1);
    this.#showCounts();
    for (const reason of REJECTIONS) this.#rejected.inc({ reason }, 0);
    for (const reason of CLOSE_REASONS) this.#backendConnectionsClosed.inc({ reason }, 0);
  }

  /** The `Content-Type` of {@linkcode render}. */
  get contentType(): string {
    return this.registry.contentType;
  }

  /** Counts one line. @param errorType given exactly where the result is `error` */
  countAnswer(result: CheckResult, errorType: ErrorType | undefined): void {
    this.#results[result]++;
    if (errorType !== undefined) this.#errors[errorType]++;
  }

  /** Counts a bug that showed outside any check. */
  countBug(): void {
    this.#errors.internal++;
  }

  /** Checks begun and not ended. */
  get checksInFlight(): number {
    return this.#checksInFlight;
  }

  checkBegun(): void {
    this.#checksInFlight++;
  }

  checkEnded(): void {
    this.#checksInFlight--;
  }

  /** Open connections of clients. */
  get connections(): number {
    return this.#connections;
  }

  clientConnected(): void {
    this.#connections++;
  }

  clientDisconnected(): void {
    this.#connections--;
  }

  countRejection(reason: Rejection): void {
    this.#rejected.inc({ reason });
  }

  onCoalesced(): void {
    this.#coalesced.inc();
  }

  countHangUp(): void {
    this.#abandoned.inc();
  }

  /** Connections to backends that are not closed. */
  get channels(): number {
    return this.#channels;
  }

  onOpened(): void {
    this.#channels++;
    this.#backendConnections.inc();
  }

  onClosed(reason: CloseReason): void {
    this.#channels--;
    this.#backendConnectionsClosed.inc({ reason });
  }

  onHedged(): void {
    this.#hedged.inc();
  }

  /** @param seconds from the line to the verdict */
  observeCheck(seconds: number): void {
    this.#duration.observe(seconds);
  }

  /** @returns the lines answered since the start, by result and by error type */
  counts(): AnswerCounts {
    return { results: { ...this.#results }, errors: { ...this.#errors } };
  }

  #showCounts(): void {
    const results = this.#results;
    new Counter({
      name: "check_requests_total",
      help: "Request lines answered, by result: up, down (a backend said so), error (no verdict)",
      labelNames: ["result"],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [result, count] of Object.entries(results)) this.inc({ result }, count);
      },
    });
    const errors = this.#errors;
    new Counter({
      name: "check_errors_total",
      help: "Request lines answered without a verdict from the backend, by reason",
      labelNames: ["error_type"],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [type, count] of Object.entries(errors)) this.inc({ error_type: type }, count);
      },
    });
    addGauge(
      this.registry,
      "haproxy_connections_active",
      "Open connections of HAProxy and other clients",
      () => this.#connections,
    );
    addGauge(
      this.registry,
      "grpc_channels_active",
      "Connections to backends, connecting or connected",
      () => this.#channels,
    );
    addGauge(
      this.registry,
      "haproxy_grpc_agent_checks_in_flight",
      "Checks begun and not ended",
      () => this.#checksInFlight,
    );
  }

  /** @returns all metrics in Prometheus' text format 0.0.4 */
  render(): Promise<string> {
    return this.registry.metrics();
  }
}

/** Adds a gauge without labels. @param look gives its value at each scrape */
export function addGauge(registry: Registry, name: string, help: string, look: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(look());
    },
  });
}

/** Adds a counter without labels. @param look gives its value at each scrape; it never falls */
export function addCounter(
  registry: Registry,
  name: string,
  help: string,
  look: () => number,
): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(look());
    },
  });
}
