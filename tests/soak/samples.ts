import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { timerFile } from "./timer_file.ts";

/** What was seen of the agent at one moment. */
export interface Sample {
  /** Seconds since the sampler was made. */
  readonly second: number;
  readonly residentMb: number;
  readonly peakMb: number;
  readonly threads: number;
  readonly descriptors: number;
  readonly timers: number;
  readonly channels: number;
  readonly connections: number;
  readonly checks: number;
  /** Of `check_requests_total`. */
  readonly up: number;
  readonly down: number;
  readonly error: number;
}

const EVERY_MS = 1000;

/** Every how many samples the pages for people are fetched too. */
const PAGES_EVERY = 10;

/** Looks at the agent every second: at its process, and at its metrics as Prometheus would. */
export class Sampler {
  readonly samples: Sample[] = [];
  readonly #agent: AgentProcess;
  readonly #startedAt = performance.now();
  #running = true;
  #done: Promise<void> | undefined;
  #failures = 0;

  constructor(agent: AgentProcess) {
    this.#agent = agent;
  }

  /** How often nothing could be had of the agent. */
  get failures(): number {
    return this.#failures;
  }

  start(): void {
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  /** Looks once, beside the others. */
  async look(): Promise<Sample> {
    const status = Deno.readTextFileSync(`/proc/${this.#agent.pid}/status`);
    const field = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
    const descriptors = this.#agent.fds();
    const metrics = await this.#agent.metrics();
    const metric = (name: string) => metrics.get(name) ?? NaN;
    return {
      second: (performance.now() - this.#startedAt) / 1000,
      residentMb: field("VmRSS") / 1024,
      peakMb: field("VmHWM") / 1024,
      threads: field("Threads"),
      descriptors,
      timers: Number(Deno.readTextFileSync(timerFile(this.#agent.pid))),
      channels: metric("grpc_channels_active"),
      connections: metric("haproxy_connections_active"),
      checks: metric("haproxy_grpc_agent_checks_in_flight"),
      up: metric('check_requests_total{result="up"}'),
      down: metric('check_requests_total{result="down"}'),
      error: metric('check_requests_total{result="error"}'),
    };
  }

  async #run(): Promise<void> {
    while (this.#running) {
      const nextAt = performance.now() + EVERY_MS;
      try {
        this.samples.push(await this.look());
        if (this.samples.length % PAGES_EVERY === 0) await this.#readPages();
      } catch {
        this.#failures++;
      }
      await new Promise((resolve) => setTimeout(resolve, nextAt - performance.now()));
    }
  }

  async #readPages(): Promise<void> {
    for (const path of ["/", "/api/status", "/healthz", "/readyz"]) await this.#agent.get(path);
  }
}
