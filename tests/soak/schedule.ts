import { Random } from "../lab/testing/random.ts";
import type { FaultRecord } from "./faults.ts";
import type { FleetMember } from "./fleet.ts";

/** How long a backend is left alone between two faults, in milliseconds: from, to. */
const REST_MS = [2000, 16_000] as const;

/** How long a fault lasts, in milliseconds: from, to. */
const FAULT_MS = [1000, 6000] as const;

/**
 * Lets one fault after the other happen to each backend, each backend for itself. What happens to a
 * backend, in which order and for how long, comes from the seed alone.
 */
export class Mischief {
  /** What has happened, in the order of its beginning. */
  readonly records: FaultRecord[] = [];
  /** What went wrong in letting it happen: then the truth is not known any more. */
  readonly problems: string[] = [];
  readonly #members: readonly FleetMember[];
  readonly #seed: number;
  readonly #stop = new AbortController();
  #done: Promise<unknown> | undefined;

  constructor(members: readonly FleetMember[], seed: number) {
    this.#members = members;
    this.#seed = seed;
  }

  start(): void {
    this.#done = Promise.all(this.#members.map((member) =>
      this.#plague(member).catch((error) => {
        this.problems.push(`A fault of ${member.name} could not be let happen: ${error.stack}`);
      })
    ));
  }

  /** Ends all faults; when this resolves every backend is up. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #plague(member: FleetMember): Promise<void> {
    const random = new Random(this.#seed, member.name);
    const faults = random.cycle(member.faults.map((_, index) => index));
    const { signal } = this.#stop;
    for (const index of faults) {
      const [rest, lasting] = [random.between(...REST_MS), random.between(...FAULT_MS)];
      await pause(rest, signal);
      if (signal.aborted) return;
      const fault = member.faults[index]?.name ?? "";
      const from = performance.now();
      const record: FaultRecord = { backend: member.name, fault, from, to: undefined };
      this.records.push(record);
      await member.run(index, () => pause(lasting, signal), random);
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
