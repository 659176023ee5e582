import type { Random } from "../lab/testing/random.ts";
import { type Exchange, KeptSockets, LineSocket } from "./sockets.ts";
import type { Target } from "./timeline.ts";

/** How many of a hundred checks go over kept connections, one after the other. */
const KEPT_PERCENT = 10;

/** How many of a hundred checks go over kept connections, several in one segment. */
const PIPELINED_PERCENT = 10;

/** Lines of such a segment. */
const PIPELINED_LINES = 5;

/** Rarely asked targets are asked in every other stretch of this length, in milliseconds. */
const RARE_STRETCH_MS = 15_000;

/** How often the asker begins the checks that are due, in milliseconds. */
const TICK_MS = 5;

/** How a line was asked. */
export type Manner = "fresh" | "kept" | "pipelined";

/** A check that is over. */
export interface AskedCheck extends Exchange {
  readonly target: Target;
  readonly manner: Manner;
}

interface Question {
  readonly target: Target;
  readonly line: string;
}

/** Asks the agent at a steady rate, most of the time as HAProxy does, without waiting for answers. */
export class Asker {
  readonly #port: number;
  readonly #targets: readonly Target[];
  readonly #rate: number;
  readonly #random: Random;
  readonly #onChecked: (check: AskedCheck) => void;
  readonly #order: Generator<Target, never>;
  readonly #underWay = new Set<Promise<void>>();
  readonly #kept: KeptSockets;
  #startedAt = NaN;
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
    this.#targets = targets;
    this.#rate = rate;
    this.#random = random;
    this.#onChecked = onChecked;
    this.#order = random.cycle(targets);
    this.#kept = new KeptSockets(port);
  }

  /** Checks begun so far at the steady rate. */
  get asked(): number {
    return this.#asked;
  }

  /** Asks each line once, one after the other. */
  async askEachOnce(): Promise<void> {
    for (const target of this.#targets) {
      for (const line of target.lines) await this.#ask("fresh", [{ target, line }]);
    }
  }

  start(): void {
    this.#startedAt = performance.now();
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
    this.#kept.close();
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
    const questions = Array.from({ length: count }, () => this.#next());
    const done = this.#ask(manner, questions)
      .catch((error) => this.#failure ??= error)
      .finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
  }

  #next(): Question {
    while (true) {
      const { value: target } = this.#order.next();
      const stretch = Math.floor((performance.now() - this.#startedAt) / RARE_STRETCH_MS);
      if (target.rare && stretch % 2 === 1) continue;
      const { lines } = target;
      return { target, line: lines[Math.floor(this.#random.next() * lines.length)] ?? lines[0] };
    }
  }

  async #ask(manner: Manner, questions: readonly Question[]): Promise<void> {
    const begunAt = performance.now();
    const ask = async (socket: LineSocket) => {
      const exchanges = socket.ask(questions.map(({ line }) => line));
      await Promise.all(questions.map(async ({ target }, index) => {
        const exchange = await exchanges[index];
        if (exchange !== undefined) this.#onChecked({ ...exchange, target, manner });
      }));
    };
    try {
      if (manner === "fresh") await this.#onFreshSocket(ask);
      else await this.#kept.use(ask);
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error)) throw error;
      // The agent did not accept the connection: none of the lines has an answer.
      const receivedAt = performance.now();
      for (const { target, line } of questions) {
        const exchange = { line, sentAt: begunAt, receivedAt, reply: undefined, localPort: 0 };
        this.#onChecked({ ...exchange, target, manner });
      }
    }
  }

  async #onFreshSocket(ask: (socket: LineSocket) => Promise<void>): Promise<void> {
    const socket = await LineSocket.open(this.#port);
    await ask(socket);
    socket.reset();
  }
}
