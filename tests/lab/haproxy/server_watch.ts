import type { Haproxy } from "./haproxy.ts";

/** Milliseconds between two looks. */
const EVERY_MS = 50;

/** A time for which HAProxy had a server at an address, UP or not; milliseconds of `performance.now`. */
export interface SeenSpan {
  /** The server's name in HAProxy. */
  server: string;
  /** `address:port`, as `show stat` has it. */
  address: string;
  up: boolean;
  /** The first look that showed it. */
  from: number;
  /** The last look that showed it. */
  to: number;
}

/** Looks at the servers of a backend again and again, and keeps what it has seen of each. */
export class ServerWatch implements AsyncDisposable {
  /** What was seen so far, in the order in which it began. */
  readonly spans: SeenSpan[] = [];
  /** The longest time that a check was seen to take, in milliseconds. */
  longestCheckMs = 0;
  #current = new Map<string, SeenSpan>();
  #stopped = Promise.withResolvers<void>();
  #ended: Promise<void>;

  /** @param backend the name of HAProxy's backend */
  constructor(haproxy: Haproxy, backend: string) {
    this.#ended = this.#watch(haproxy, backend);
    // A failure is told by stop.
    this.#ended.catch(() => {});
  }

  /**
   * Ends the watch after one more look.
   *
   * @throws {Error} when HAProxy did not answer meanwhile
   */
  async stop(): Promise<void> {
    this.#stopped.resolve();
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.resolve();
    await this.#ended.catch(() => {});
  }

  async #watch(haproxy: Haproxy, backend: string): Promise<void> {
    let stopped = false;
    void this.#stopped.promise.then(() => stopped = true);
    for (let last = false; !last;) {
      last = stopped;
      const rows = await haproxy.stats(backend);
      const now = performance.now();
      for (const { server, up, fields } of rows) {
        this.longestCheckMs = Math.max(this.longestCheckMs, Number(fields.check_duration));
        this.#saw(server, fields.addr ?? "", up, now);
      }
      await pauseUnless(this.#stopped.promise);
    }
  }

  #saw(server: string, address: string, up: boolean, now: number): void {
    const current = this.#current.get(server);
    if (current?.address === address && current.up === up) {
      current.to = now;
      return;
    }
    const span = { server, address, up, from: now, to: now };
    this.#current.set(server, span);
    this.spans.push(span);
  }
}

async function pauseUnless(stopped: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const pause = new Promise<void>((resolve) => timer = setTimeout(resolve, EVERY_MS));
  await Promise.race([pause, stopped]);
  clearTimeout(timer);
}
