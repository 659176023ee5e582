import { type Exchange, LineSocket } from "./line_socket.ts";
import type { Random } from "./random.ts";
import type { Target } from "./target.ts";

/** How many of a hundred checks go over kept connections, one after the other. */
const KEPT_PERCENT = 10;

/** How many of a hundred checks go over kept connections, several in one segment. */
const PIPELINED_PERCENT = 10;

/** Lines of such a segment. */
const PIPELINED_LINES = 5;

/** Kept connections; each is given up after a number of uses and another made. */
const KEPT_CONNECTIONS = 6;
const USES = 200;

/** Rarely asked targets are asked in every other stretch of this length, in milliseconds. */
const RARE_STRETCH_MS = 15_000;

/** How often it is looked whether checks are due, in milliseconds. */
const TICK_MS = 5;

/** How a line was asked. */
export type Manner = "fresh" | "kept" | "pipelined";

/** A check that is over. */
export interface AskedCheck extends Exchange {
  readonly target: Target;
  readonly manner: Manner;
}

interface Kept {
  readonly socket: LineSocket;
  uses: number;
  busy: boolean;
}

/** Asks the agent at a steady rate, most of the time as HAProxy does, without waiting for answers. */
export class Asker {
  readonly #port: number;
  readonly #rate: number;
  readonly #random: Random;
  readonly #onChecked: (check: AskedCheck) => void;
  readonly #targets: Generator<Target, never>;
  readonly #underWay = new Set<Promise<void>>();
  readonly #kept = new Set<Kept>();
  readonly #startedAt = performance.now();
  #timer: ReturnType<typeof setInterval> | undefined;
  #asked = 0;
  #failure: unknown;

  /**
   * @param rate checks a second
   * @param onChecked is told of each check that is over
   */
  constructor(
    port: number,
    targets: readonly Target[],
    rate: number,
    random: Random,
    onChecked: (check: AskedCheck) => void,
  ) {
    this.#port = port;
    this.#rate = rate;
    this.#random = random;
    this.#onChecked = onChecked;
    this.#targets = random.cycle(targets);
  }

  /** Lines sent so far. */
  get asked(): number {
    return this.#asked;
  }

  start(): void {
    this.#timer = setInterval(() => this.#askDue(), TICK_MS);
  }

  /**
   * Asks no more, waits for the answers, and closes its connections.
   *
   * @throws {unknown} what has gone wrong in the asker itself
   */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    for (const { socket } of this.#kept) socket.reset();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #askDue(): void {
    const due = (performance.now() - this.#startedAt) * this.#rate / 1000;
    while (this.#asked < due) {
      const dice = this.#random.next() * 100;
      // A segment of several lines counts as often as it has lines.
      const pipelined = PIPELINED_PERCENT / PIPELINED_LINES;
      if (dice < pipelined) this.#begin("pipelined", PIPELINED_LINES);
      else if (dice < pipelined + KEPT_PERCENT) this.#begin("kept", 1);
      else this.#begin("fresh", 1);
    }
  }

  #begin(manner: Manner, count: number): void {
    this.#asked += count;
    const targets = Array.from({ length: count }, () => this.#next());
    const begunAt = performance.now();
    const asking = manner === "fresh" ? this.#askFresh(targets) : this.#askKept(manner, targets);
    const done = asking
      .catch((error) => this.#refused(manner, targets, begunAt, error))
      .finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
  }

  #next(): Target {
    while (true) {
      const { value } = this.#targets.next();
      const stretch = Math.floor((performance.now() - this.#startedAt) / RARE_STRETCH_MS);
      if (!value.rare || stretch % 2 === 0) return value;
    }
  }

  /** No connection to the agent: no answer, to the asker. */
  #refused(manner: Manner, targets: readonly Target[], sentAt: number, error: unknown): void {
    if (!(error instanceof Error) || !("code" in error)) this.#failure ??= error;
    const receivedAt = performance.now();
    for (const target of targets) {
      const [line] = target.lines;
      this.#onChecked({
        ...{ line, sentAt, receivedAt, reply: undefined, localPort: 0 },
        ...{ target, manner },
      });
    }
  }

  async #askFresh(targets: readonly Target[]): Promise<void> {
    const socket = await LineSocket.open(this.#port);
    await this.#ask(socket, "fresh", targets);
    socket.reset();
  }

  async #askKept(manner: Manner, targets: readonly Target[]): Promise<void> {
    const kept = await this.#take();
    await this.#ask(kept.socket, manner, targets);
    kept.busy = false;
    if (++kept.uses < USES) return;
    this.#kept.delete(kept);
    kept.socket.reset();
  }

  /** A kept connection on which nothing is under way; a new one where there is none. */
  async #take(): Promise<Kept> {
    for (const kept of this.#kept) {
      if (!kept.socket.open) this.#kept.delete(kept);
      else if (!kept.busy) {
        kept.busy = true;
        return kept;
      }
    }
    const kept: Kept = { socket: await LineSocket.open(this.#port), uses: 0, busy: true };
    if (this.#kept.size < KEPT_CONNECTIONS) this.#kept.add(kept);
    else kept.uses = USES;
    return kept;
  }

  async #ask(socket: LineSocket, manner: Manner, targets: readonly Target[]): Promise<void> {
    const lines = targets.map(({ lines }) =>
      lines[Math.floor(this.#random.next() * lines.length)] ?? lines[0]
    );
    const exchanges = socket.ask(lines).map(async (exchange, index) => {
      const target = targets[index];
      if (target !== undefined) this.#onChecked({ ...await exchange, target, manner });
    });
    await Promise.all(exchanges);
  }
}
