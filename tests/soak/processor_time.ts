// Whether the machine gave the asker and the agent a processor when they needed one. An answer that is late because
// it did not is counted apart.

import { processorMs, TICK_MS } from "../lab/machine/process_state.ts";

/** Processor time since an earlier moment. */
export interface ProcessorUse {
  /** How many cores' worth was not used by anybody. */
  readonly freeCores: number;
  /** How many cores' worth a process used. */
  readonly agentCores: number;
  readonly askerCores: number;
}

interface Times {
  readonly at: number;
  readonly idleMs: number;
  readonly agentMs: number;
  readonly askerMs: number;
}

/** @returns a function that gives the use since now */
export function measureProcessors(agentPid: number): () => ProcessorUse {
  const before = read(agentPid);
  return () => {
    const after = read(agentPid);
    const ms = after.at - before.at;
    return {
      freeCores: (after.idleMs - before.idleMs) / ms,
      agentCores: (after.agentMs - before.agentMs) / ms,
      askerCores: (after.askerMs - before.askerMs) / ms,
    };
  };
}

function read(agentPid: number): Times {
  // Of all cores together: user, nice, system, idle, iowait ...
  const [, , , , idle = "", iowait = ""] = Deno.readTextFileSync("/proc/stat").split(/ +/);
  return {
    at: performance.now(),
    idleMs: (Number(idle) + Number(iowait)) * TICK_MS,
    agentMs: processorMs(agentPid),
    askerMs: processorMs(Deno.pid),
  };
}

/** How often the timer runs whose delays show stalls, in milliseconds. */
const STALL_LOOK_MS = 10;

/** A delay up to this is no stall, in milliseconds. */
const NORMAL_MS = 5;

/** Stalls that are remembered; answers are judged soon after they came. */
const REMEMBERED_STALLS = 1000;

/**
 * When this process itself did not run, so that it could neither send lines nor read replies. A reply that was late
 * can so be told from one that waited to be read.
 */
export class Stalls implements Disposable {
  readonly #stalls: { from: number; to: number }[] = [];
  readonly #timer: ReturnType<typeof setInterval>;
  #expectedAt = performance.now() + STALL_LOOK_MS;
  #delays: number[] = [];

  constructor() {
    this.#timer = setInterval(() => this.#look(), STALL_LOOK_MS);
  }

  /** How late each look came, in milliseconds. */
  get delays(): readonly number[] {
    return this.#delays;
  }

  /** @returns for how many milliseconds from `from` to `to` this process did not run */
  between(from: number, to: number): number {
    return this.#stalls.reduce(
      (sum, stall) => sum + Math.max(0, Math.min(stall.to, to) - Math.max(stall.from, from)),
      0,
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    const delay = Math.max(0, now - this.#expectedAt);
    this.#delays.push(delay);
    if (delay > NORMAL_MS) {
      this.#stalls.push({ from: this.#expectedAt, to: now });
      if (this.#stalls.length > REMEMBERED_STALLS) this.#stalls.shift();
    }
    this.#expectedAt = now + STALL_LOOK_MS;
  }
}

/** How often the count of the kernel is read, in milliseconds. */
const WAIT_LOOK_MS = 20;

/** How many of its values are remembered. */
const REMEMBERED_WAITS = 1000;

/**
 * For how long the agent was ready to run and had no core to run on, by the kernel's own count for its
 * main thread (`schedstat`). An answer that is late because the machine is overloaded can so be told from
 * one that is late because of the agent.
 */
export class CoreWaits implements Disposable {
  readonly #path: string;
  readonly #looks: { at: number; waitedMs: number }[] = [];
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(pid: number) {
    this.#path = `/proc/${pid}/schedstat`;
    this.#timer = setInterval(() => this.#look(), WAIT_LOOK_MS);
  }

  /** @returns how many milliseconds it waited from `from` to `to`, including up to 20 ms before and after */
  between(from: number, to: number): number {
    const before = this.#looks.findLast(({ at }) => at <= from) ?? this.#looks[0];
    const after = this.#looks.find(({ at }) => at >= to) ?? this.#looks.at(-1);
    return before === undefined || after === undefined ? 0 : after.waitedMs - before.waitedMs;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    try {
      // Nanoseconds run, nanoseconds waited, times run.
      const [, waited] = Deno.readTextFileSync(this.#path).split(" ");
      this.#looks.push({ at: performance.now(), waitedMs: Number(waited) / 1e6 });
      if (this.#looks.length > REMEMBERED_WAITS) this.#looks.shift();
    } catch {
      // The agent has ended; the run notices that itself.
    }
  }
}
