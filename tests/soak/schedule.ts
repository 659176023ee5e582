import { Random } from "../lab/testing/random.ts";

/** A stretch of time in milliseconds, from the shortest to the longest. */
export type RangeMs = readonly [from: number, to: number];

/** Something that happens to a backend for a while; afterwards it is up again. */
export interface SoakFault<Backend> {
  /** To be read after "a backend that". */
  readonly name: string;
  /** For how long it is held. */
  readonly heldMs: RangeMs;
  /** What checks must say meanwhile, and where either answer is right; for the report. */
  readonly expected: string;
  readonly inject: Injector<Backend>;
}

/** Lets a fault happen to a backend, and notes its true state (`timeline.ts`). */
export type Injector<Backend> = (backend: Backend, injection: Injection) => Promise<void>;

/** What an injector is given beside the backend. */
export interface Injection {
  /** The name of the fault. */
  readonly name: string;
  /** Waits for as long as the fault is to be held. */
  readonly hold: () => Promise<void>;
  readonly random: Random;
}

/** A fault of one backend: when `inject` resolves, the backend is up. */
export type ScheduledFault = Omit<SoakFault<unknown>, "inject"> & {
  readonly inject: (injection: Injection) => Promise<void>;
};

/** A fault that was injected. */
export interface FaultRecord {
  readonly backend: string;
  readonly fault: string;
  /** In milliseconds of `performance.now()`. */
  readonly from: number;
  /** `undefined` while it lasts. */
  to: number | undefined;
}

/** A backend as the schedule sees it. */
export interface ScheduledBackend {
  readonly name: string;
  readonly faults: readonly ScheduledFault[];
}

/**
 * Injects one fault after the other into each backend, independently of the other backends. Which faults a
 * backend has, in which order and for how long, comes from the seed alone.
 */
export class Schedule {
  /** What has happened, in the order of its beginning. */
  readonly records: FaultRecord[] = [];
  /** What went wrong while a fault was injected: then the true state is not known any more. */
  readonly problems: string[] = [];
  readonly #backends: readonly ScheduledBackend[];
  readonly #restMs: RangeMs;
  readonly #seed: number;
  readonly #stop = new AbortController();
  #done: Promise<unknown> | undefined;

  /** @param restMs how long a backend is left alone between two faults */
  constructor(backends: readonly ScheduledBackend[], restMs: RangeMs, seed: number) {
    this.#backends = backends;
    this.#restMs = restMs;
    this.#seed = seed;
  }

  start(): void {
    this.#done = Promise.all(this.#backends.map((backend) =>
      this.#run(backend).catch((error) => {
        this.problems.push(`A fault of ${backend.name} could not be injected: ${error.stack}`);
      })
    ));
  }

  /** Ends all faults; when this resolves every backend is up. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(backend: ScheduledBackend): Promise<void> {
    const random = new Random(this.#seed, backend.name);
    const { signal } = this.#stop;
    for (const { name, heldMs, inject } of random.cycle(backend.faults)) {
      const [rest, held] = [random.between(...this.#restMs), random.between(...heldMs)];
      await pause(rest, signal);
      if (signal.aborted) return;
      const from = performance.now();
      const record: FaultRecord = { backend: backend.name, fault: name, from, to: undefined };
      this.records.push(record);
      await inject({ name, hold: () => pause(held, signal), random });
      record.to = performance.now();
    }
  }
}

/** Waits; no longer than until the signal. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
