import { WatchMemory } from "./watch_memory.ts";

/** How services are watched; times in milliseconds. */
export interface WatchOptions {
  /** How long a sign of life is good for. */
  readonly verifyMs: number;
  /** The stream of a service that nobody has asked about for so long is ended. */
  readonly idleTimeoutMs: number;
}

/**
 * Opens a Watch stream.
 *
 * @param onStatus called with each status that comes
 * @param onEnd called once when the stream ends by itself
 * @returns ends the stream; nothing is called any more then
 */
export type OpenStream = (
  service: string,
  onStatus: (status: string) => void,
  onEnd: () => void,
) => () => void;

/**
 * Streams on one connection. HTTP/2 advises servers to allow a hundred at once (RFC 9113, section
 * 6.5.2), and Checks need theirs too. Services beyond it are checked the ordinary way.
 */
const MAX_STREAMS = 50;

/** Statuses that a stream may tell between two questions. One that tells more costs more than Checks. */
const MAX_TOLD = 100;

/** A stream that ended without a word (no Watch there), or did harm, is not opened again before this. */
const RETRY_MS = 30_000;

/** A stream that said something and ended is opened again, but no more often than this. */
const REOPEN_MS = 1000;

interface Watched {
  /** What the open stream has said; `undefined` while there is none. */
  memory: WatchMemory | undefined;
  end: () => void;
  askedAt: number;
  /** How many statuses have come since. */
  told: number;
  /** No new stream before this time. */
  notBefore: number;
}

/** The services that are watched on one connection. They are forgotten with it. */
export class Watches {
  readonly #options: WatchOptions;
  readonly #openStream: OpenStream;
  readonly #now: () => number;
  readonly #watched = new Map<string, Watched>();

  /** @param now a clock in milliseconds that never goes back */
  constructor(options: WatchOptions, openStream: OpenStream, now: () => number) {
    this.#options = options;
    this.#openStream = openStream;
    this.#now = now;
  }

  /** Whether any stream is open. */
  get streaming(): boolean {
    for (const { memory } of this.#watched.values()) if (memory !== undefined) return true;
    return false;
  }

  /** @returns the status to answer with, or `undefined` when the backend is to be asked */
  recall(service: string): string | undefined {
    const watched = this.#watched.get(service);
    if (watched === undefined) return undefined;
    const now = this.#now();
    watched.askedAt = now;
    watched.told = 0;
    return watched.memory?.recall(now);
  }

  /**
   * A Check has ended. Where the backend named a status, the service is watched; a service that is not
   * there, or fails, gets no stream, so requests for made-up names open none.
   *
   * @param status what the backend said; `undefined` when the Check failed
   */
  checked(service: string, status: string | undefined): void {
    const now = this.#now();
    this.#endIdle(now);
    const watched = this.#watched.get(service) ?? this.#add(service, status, now);
    if (watched === undefined) return;
    watched.memory?.check(status, now);
    if (status !== undefined && watched.memory === undefined && now >= watched.notBefore) {
      this.#open(service, watched, status, now);
    }
  }

  /**
   * Ends all streams for a while. A server with a bound on streams or threads lets a Check wait for the
   * end of a stream, and a stream must not be what takes a backend down.
   */
  giveWay(): void {
    for (const watched of this.#watched.values()) {
      if (watched.memory !== undefined) this.#endForAWhile(watched);
    }
  }

  /** Ends all streams for good. */
  close(): void {
    for (const watched of this.#watched.values()) end(watched);
  }

  #add(service: string, status: string | undefined, now: number): Watched | undefined {
    if (status === undefined || this.#watched.size >= MAX_STREAMS) return undefined;
    const watched = { memory: undefined, end: () => {}, askedAt: now, told: 0, notBefore: now };
    this.#watched.set(service, watched);
    return watched;
  }

  #open(service: string, watched: Watched, status: string, now: number): void {
    const memory = new WatchMemory(this.#options.verifyMs);
    memory.check(status, now);
    watched.memory = memory;
    watched.notBefore = now + RETRY_MS;
    watched.end = this.#openStream(service, (told) => {
      memory.tell(told, this.#now());
      watched.notBefore = now + REOPEN_MS;
      if (++watched.told > MAX_TOLD) this.#endForAWhile(watched);
    }, () => watched.memory = undefined);
  }

  #endForAWhile(watched: Watched): void {
    end(watched);
    watched.notBefore = this.#now() + RETRY_MS;
  }

  #endIdle(now: number): void {
    for (const [service, watched] of this.#watched) {
      if (now - watched.askedAt < this.#options.idleTimeoutMs) continue;
      end(watched);
      this.#watched.delete(service);
    }
  }
}

function end(watched: Watched): void {
  watched.memory = undefined;
  watched.end();
}
