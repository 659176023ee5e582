/**
 * What is true of a backend: a check must say "up", must say "down", or may say "either" because the
 * backend is just changing.
 */
export type State = "up" | "down" | "either";

/** The beginning of a state. */
export interface Change {
  /** In milliseconds of `performance.now()`. */
  readonly at: number;
  readonly state: State;
  /** What has happened to the backend. */
  readonly why: string;
}

/** The true state of one backend over time. Pure: the times are the caller's. */
export class Timeline {
  readonly #changes: [Change, ...Change[]];

  constructor(state: State, at: number, why = "started") {
    this.#changes = [{ at, state, why }];
  }

  /** The state of now. */
  get current(): Change {
    return this.#changes[this.#changes.length - 1] ?? this.#changes[0];
  }

  /**
   * Writes down that a state begins.
   *
   * @throws {RangeError} when it would begin before the one before it
   */
  enter(state: State, at: number, why: string): void {
    if (at < this.current.at) throw new RangeError("A state cannot begin before the one before it");
    this.#changes.push({ at, state, why });
  }

  /** @returns the states that held at any instant from `from` to `to`, oldest first */
  during(from: number, to: number): Change[] {
    let first = this.#changes.length - 1;
    while (first > 0 && (this.#changes[first]?.at ?? 0) > from) first--;
    return this.#changes.slice(first).filter(({ at }, index) => index === 0 || at <= to);
  }
}

/**
 * Does something to a backend that changes its state. From before it begins until it has ended, and `settleMs`
 * milliseconds longer, either answer is right; then the backend is in the new state.
 */
export async function change(
  timelines: readonly Timeline[],
  to: "up" | "down",
  why: string,
  happen: () => void | Promise<void>,
  settleMs = 0,
): Promise<void> {
  for (const timeline of timelines) timeline.enter("either", performance.now(), why);
  await happen();
  if (settleMs > 0) await new Promise((resolve) => setTimeout(resolve, settleMs));
  for (const timeline of timelines) timeline.enter(to, performance.now(), why);
}

/** One thing that the agent is asked about: a service of a backend, or its server as a whole. */
export class Target {
  /** What is true of it from its construction on. */
  readonly timeline = new Timeline("up", performance.now());
  /** The name of the backend. */
  readonly backend: string;
  /** "" for the server as a whole. */
  readonly service: string;
  /** What to ask, without the line end; any of them means the same. */
  readonly lines: readonly [string, ...string[]];
  /** Whether it is asked in bursts, with pauses in which its channel becomes idle. */
  readonly rare: boolean;

  constructor(
    backend: string,
    lines: readonly [string, ...string[]],
    { service = "", rare = false }: { service?: string; rare?: boolean } = {},
  ) {
    this.backend = backend;
    this.service = service;
    this.lines = lines;
    this.rare = rare;
  }

  /** For people. */
  get name(): string {
    return this.service === "" ? this.backend : `${this.backend} ${this.service}`;
  }
}
