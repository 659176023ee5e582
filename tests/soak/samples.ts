import { setTimeout as pause } from "node:timers/promises";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { median } from "../lab/testing/durations.ts";
import { eventually } from "../lab/testing/eventually.ts";

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

/** After so many samples the status page and the other pages are fetched too. */
const PAGES_EVERY = 10;

/** Looks at the agent every second: at its process, and at its metrics as Prometheus would. */
export class Sampler {
  readonly samples: Sample[] = [];
  readonly #agent: AgentProcess;
  readonly #timerFile: string;
  readonly #startedAt = performance.now();
  #running = true;
  #done: Promise<void> | undefined;
  #failures = 0;

  /** @param timerFile where the agent's process tells its timers (`timer_count.ts`) */
  constructor(agent: AgentProcess, timerFile: string) {
    this.#agent = agent;
    this.#timerFile = timerFile;
  }

  /** How many samples could not be taken. */
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
      timers: Number(Deno.readTextFileSync(this.#timerFile)),
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
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, nextAt - performance.now())));
    }
  }

  async #readPages(): Promise<void> {
    for (const path of ["/", "/api/status", "/healthz", "/readyz"]) await this.#agent.get(path);
  }
}

/** How long after its last client the agent must be as it was before the first one, in milliseconds. */
const QUIET_WITHIN_MS = 40_000;

/**
 * A sample of an agent that nobody has asked yet. Starting takes a moment: of several looks within a second it is
 * the last one with the fewest descriptors.
 */
export async function calmSample(sampler: Sampler): Promise<Sample> {
  let least = await sampler.look();
  for (let look = 0; look < 4; look++) {
    await pause(250);
    const sample = await sampler.look();
    if (sample.descriptors <= least.descriptors) least = sample;
  }
  return least;
}

/** A sample as soon as nothing is left over, or the last one before it takes too long. */
export async function quietSample(sampler: Sampler, before: Sample): Promise<Sample> {
  let sample = await sampler.look();
  await eventually("the agent to be quiet", async () => {
    sample = await sampler.look();
    return leftovers(before, sample).length === 0;
  }, { timeoutMs: QUIET_WITHIN_MS, everyMs: 500 }).catch(() => {});
  return sample;
}

/** @returns what there is more of than before, in words */
export function leftovers(before: Sample, after: Sample): string[] {
  return (["descriptors", "timers", "channels", "connections", "checks"] as const)
    .filter((name) => after[name] > before[name])
    .map((name) =>
      `At the end there were ${after[name]} ${name}, at the beginning ${before[name]}`
    );
}

/** One figure of the agent, early and late in the run. */
export interface Flatness {
  readonly figure: "residentMb" | "descriptors" | "timers" | "channels" | "threads";
  /** Its median in the second quarter, and in the last. */
  readonly early: number;
  readonly late: number;
  /** What the late one may be at most. */
  readonly bound: number;
  readonly problem: string | undefined;
}

/** How much more the late figure may be: a share of the early one, and a number besides. */
const ALLOWED: Record<Flatness["figure"], { share: number; number: number }> = {
  residentMb: { share: 0.1, number: 4 },
  descriptors: { share: 0.1, number: 8 },
  timers: { share: 0.1, number: 8 },
  channels: { share: 0.1, number: 8 },
  threads: { share: 0, number: 2 },
};

/** In a shorter run memory is not judged, since it still grows while the program warms up; in minutes. */
const WARM_AFTER_MINUTES = 8;

/** @returns whether the agent grows: the last quarter against the second, by medians */
export function judgeFlatness(samples: readonly Sample[], minutes: number): Flatness[] {
  const quarter = Math.floor(samples.length / 4);
  const figures = Object.keys(ALLOWED) as Flatness["figure"][];
  return figures.map((figure) => {
    const values = samples.map((sample) => sample[figure]);
    const early = median(values.slice(quarter, 2 * quarter));
    const late = median(values.slice(3 * quarter));
    const bound = early * (1 + ALLOWED[figure].share) + ALLOWED[figure].number;
    const judged = figure !== "residentMb" || minutes >= WARM_AFTER_MINUTES;
    const problem = judged && late > bound
      ? `${figure} grew from ${early.toFixed(1)} to ${late.toFixed(1)}, more than ${
        bound.toFixed(1)
      }`
      : undefined;
    return { figure, early, late, bound, problem };
  });
}
