import process from "node:process";
import { formatHostPort } from "../protocol/host.ts";
import { AGENT_STATES } from "../protocol/reply.ts";
import type { BackendHistory } from "../status/history.ts";
import type { OwnCertificate } from "../tls/client_certificate.ts";
import { VERSION } from "../version.ts";
import { addCounter, addGauge, Gauge, type Registry } from "./metrics.ts";

/** How many series `backend_up` may have: clients choose their labels, so they must be bounded. */
const MAX_SERIES = 1000;

/**
 * Adds what is known of the backends, collected at each scrape: a backend that nobody asks about any more has no
 * series.
 *
 * @param single whether there is a series for each backend
 */
export function addBackendMetrics(
  registry: Registry,
  history: BackendHistory,
  single: () => boolean,
): void {
  new Gauge({
    name: "haproxy_grpc_agent_backends",
    help:
      "Backends (and services) asked about in the last 10 minutes, by what HAProxy was told last",
    labelNames: ["state"],
    registers: [registry],
    collect() {
      const counts = new Map<string, number>(AGENT_STATES.map((state) => [state, 0]));
      for (const { state } of history.records()) {
        if (state !== "unanswered") counts.set(state, (counts.get(state) ?? 0) + 1);
      }
      for (const [state, count] of counts) this.set({ state }, count);
    },
  });
  addGauge(
    registry,
    "haproxy_grpc_agent_backends_unasked",
    "Backends that could not be asked for a minute, for want of something of the agent's own",
    () => history.countUnasked(),
  );
  new Gauge({
    name: "haproxy_grpc_agent_backend_up",
    help: "1 for a backend that HAProxy was last told is up (metrics_backend_up; the first 1000)",
    labelNames: ["backend", "service"],
    registers: [registry],
    collect() {
      this.reset();
      if (!single()) return;
      for (const { backend, service, up } of backendsUp(history)) {
        this.set({ backend, service }, up ? 1 : 0);
      }
    },
  });
}

/** One series of `backend_up`. */
interface BackendUp {
  readonly backend: string;
  readonly service: string;
  up: boolean;
}

/**
 * @returns the backends known longest, so that a flood of new ones pushes none of them out. A backend that is asked
 * about with several authorities is up when all of them are
 */
function backendsUp(history: BackendHistory): Iterable<BackendUp> {
  const series = new Map<string, BackendUp>();
  const records = [...history.records()].sort((a, b) => a.number - b.number);
  for (const { question: { host, port, service }, state } of records) {
    if (state === "unanswered") continue;
    const backend = formatHostPort(host, port);
    const labels = `${backend} ${service}`;
    const known = series.get(labels);
    if (known !== undefined) known.up &&= state === "up";
    else if (series.size < MAX_SERIES) series.set(labels, { backend, service, up: state === "up" });
  }
  return series.values();
}

/** Adds for how many clients and lines a patience is learnt. */
export function addPatienceMetrics(registry: Registry, learnt: () => number): void {
  addGauge(
    registry,
    "haproxy_grpc_agent_client_patience_learnt",
    "Clients and lines that are answered sooner, since the client has kept hanging up",
    learnt,
  );
}

/** Adds how many log lines were lost. */
export function addLogMetrics(registry: Registry, dropped: () => number): void {
  addCounter(
    registry,
    "haproxy_grpc_agent_log_dropped_total",
    "Log lines that were lost, because nothing took them in time",
    dropped,
  );
}

/** Adds when the client certificates expire, collected at each scrape. */
export function addCertificateMetrics(
  registry: Registry,
  certificates: () => readonly OwnCertificate[],
): void {
  new Gauge({
    name: "haproxy_grpc_agent_certificate_expiry_timestamp_seconds",
    help: "When the client certificate of a TLS profile, or one sent along with it, ends first",
    labelNames: ["profile"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [profile, group] of Map.groupBy(certificates(), ({ profile }) => profile)) {
        this.set({ profile }, Math.min(...group.map(({ validTo }) => validTo.getTime())) / 1000);
      }
    },
  });
}

/**
 * Adds the usual metrics of a process.
 *
 * prom-client's own collectors read /proc, which Deno allows only with all permissions. These figures need none; the
 * number of open file descriptors is left out, since it cannot be had without /proc.
 */
export function addProcessMetrics(registry: Registry): void {
  addGauge(
    registry,
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
    () => performance.timeOrigin / 1000,
  );
  addCounter(
    registry,
    "process_cpu_seconds_total",
    "Total user and system CPU time spent in seconds.",
    () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  );
  addGauge(
    registry,
    "process_resident_memory_bytes",
    "Resident memory size in bytes.",
    () => Deno.memoryUsage().rss,
  );
  const buildInfo = new Gauge({
    name: "haproxy_grpc_agent_build_info",
    help: "Always 1; the labels tell what is running",
    labelNames: ["version", "deno"],
    registers: [registry],
  });
  buildInfo.set({ version: VERSION, deno: Deno.version.deno }, 1);
}
