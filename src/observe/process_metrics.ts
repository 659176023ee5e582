import process from "node:process";
import { Counter, Gauge, type Registry } from "./prom_client.ts";
import { VERSION } from "../version.ts";

/**
 * Adds what every process tells of itself.
 *
 * prom-client's own collectors read /proc, which Deno opens to nobody without `--allow-all`; these
 * figures need no permission. Open file descriptors cannot be had that way.
 */
export function addProcessMetrics(registry: Registry): void {
  const registers = [registry];
  const startedAt = new Gauge({
    name: "process_start_time_seconds",
    help: "Start time of the process since unix epoch in seconds.",
    registers,
  });
  startedAt.set(performance.timeOrigin / 1000);
  new Counter({
    name: "process_cpu_seconds_total",
    help: "Total user and system CPU time spent in seconds.",
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory size in bytes.",
    registers,
    collect() {
      this.set(Deno.memoryUsage().rss);
    },
  });
  const buildInfo = new Gauge({
    name: "haproxy_grpc_agent_build_info",
    help: "Always 1; the labels tell what is running",
    labelNames: ["version", "deno"],
    registers,
  });
  buildInfo.set({ version: VERSION, deno: Deno.version.deno }, 1);
}
