import type { SeenSpan } from "./server_watch.ts";

/** What HAProxy should make of an address: take it in, leave it out, or as it likes while things change. */
export type Expectation = "up" | "down" | "either";

/** A time for which something is expected of an address; milliseconds of `performance.now`. */
interface ExpectedSpan {
  expected: Expectation;
  from: number;
  /** Infinity for the last one. */
  to: number;
}

/** What servers should look like over time; what an HAProxy has seen is compared with it. */
export class ExpectedServers {
  #spans = new Map<string, ExpectedSpan[]>();

  /**
   * Changes servers, and notes what is expected of them afterwards; while the change is under way anything
   * may be seen.
   *
   * @param addresses `address:port` of those that change
   */
  async change(
    addresses: readonly string[],
    expected: Expectation,
    change: () => Promise<unknown> = () => Promise.resolve(),
  ): Promise<void> {
    for (const address of addresses) this.#set(address, "either");
    await change();
    for (const address of addresses) this.#set(address, expected);
  }

  /**
   * Compares with what was seen.
   *
   * @param seen until the watch was stopped
   * @param patienceMs how long an address may be seen otherwise than expected without a break
   * @returns what was wrong for longer, one line each
   */
  mistakes(seen: readonly SeenSpan[], patienceMs: number): string[] {
    const end = Math.max(...seen.map(({ to }) => to));
    const begin = Math.min(...seen.map(({ from }) => from));
    return [...this.#spans].flatMap(([address, spans]) => {
      const up = merged(seen.filter((span) => span.up && span.address === address));
      return spans.flatMap(({ expected, from, to }) => {
        const time = { from: Math.max(from, begin), to: Math.min(to, end) };
        const wrong = expected === "either"
          ? []
          : expected === "down"
          ? within(up, time)
          : gaps(within(up, time), time);
        return wrong
          .filter((span) => span.to - span.from > patienceMs)
          .map((span) => {
            const when = `${Math.round(span.from - begin)} to ${Math.round(span.to - begin)} ms`;
            return `${address} was ${expected === "up" ? "not UP" : "UP"} from ${when}`;
          });
      });
    });
  }

  #set(address: string, expected: Expectation): void {
    const now = performance.now();
    const spans = this.#spans.get(address) ?? [];
    this.#spans.set(address, spans);
    const last = spans.at(-1);
    if (last) last.to = now;
    spans.push({ expected, from: now, to: Infinity });
  }
}

/** A time in milliseconds. */
interface Time {
  from: number;
  to: number;
}

/** Times that touch or overlap become one: a server handed from one place to another is UP throughout. */
function merged(times: readonly Time[]): Time[] {
  const result: Time[] = [];
  for (const { from, to } of times.toSorted((one, other) => one.from - other.from)) {
    const last = result.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else result.push({ from, to });
  }
  return result;
}

/** The parts of times that lie in another. */
function within(times: readonly Time[], { from, to }: Time): Time[] {
  return times
    .map((time) => ({ from: Math.max(time.from, from), to: Math.min(time.to, to) }))
    .filter((time) => time.to > time.from);
}

/** The parts of a time that others, in their order, leave free. */
function gaps(times: readonly Time[], { from, to }: Time): Time[] {
  const starts = [...times.map((time) => time.from), to];
  const ends = [from, ...times.map((time) => time.to)];
  return ends
    .map((end, index) => ({ from: end, to: starts[index] ?? to }))
    .filter((time) => time.to > time.from);
}
