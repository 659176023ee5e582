/** How often it is looked, in milliseconds. */
const EVERY_MS = 20;

/** How far back it is remembered, in looks. */
const REMEMBERED = 1000;

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
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
  }

  /** @returns how many milliseconds it waited from `from` to `to`, at most 20 ms of time around included */
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
      if (this.#looks.length > REMEMBERED) this.#looks.shift();
    } catch {
      // The agent is gone, which others tell.
    }
  }
}
