import { within } from "../deadline.ts";

/** What became of some lines. */
export type Written =
  | { readonly ok: true }
  | {
    readonly ok: false;
    /** How many bytes of whole lines were written before: the next line begins there. */
    readonly written: number;
    readonly error: unknown;
  };

/** A place that takes the lines of the log. */
export interface LogDestination {
  /**
   * Writes lines. Not to be called again before it has settled; never rejects.
   *
   * @param lines whole lines, each with its newline
   */
  write(lines: Uint8Array): Promise<Written>;
}

const NEWLINE = 0x0a;

/** How long to wait before writing again to a non-blocking pipe that is full, in milliseconds. */
const NO_ROOM_PAUSE_MS = 100;

/**
 * Writes lines to something that may take them in pieces. Where a line breaks off, as on a full disk, a newline is
 * written before the next line, so that only the broken one is lost.
 */
export class LineWriter implements LogDestination {
  readonly #write: (bytes: Uint8Array) => Promise<number>;
  #broken: boolean;

  /**
   * @param write writes some of the bytes and says how many, as `Deno.stderr.write` does
   * @param broken whether what is there already ends in the middle of a line
   */
  constructor(write: (bytes: Uint8Array) => Promise<number>, broken = false) {
    this.#write = write;
    this.#broken = broken;
  }

  async write(lines: Uint8Array): Promise<Written> {
    let sent = 0;
    try {
      if (this.#broken) await this.#writeSome(Uint8Array.of(NEWLINE));
      this.#broken = false;
      while (sent < lines.length) sent += await this.#writeSome(lines.subarray(sent));
      return { ok: true };
    } catch (error) {
      const written = lines.subarray(0, sent).lastIndexOf(NEWLINE) + 1;
      this.#broken ||= sent > written;
      return { ok: false, written, error };
    }
  }

  /** The reader of a pipe may have made it non-blocking for both sides: that it is full is no failure then. */
  async #writeSome(bytes: Uint8Array): Promise<number> {
    while (true) {
      try {
        return await this.#write(bytes);
      } catch (error) {
        if (!(error instanceof Deno.errors.WouldBlock)) throw error;
        await new Promise((resolve) => setTimeout(resolve, NO_ROOM_PAUSE_MS));
      }
    }
  }
}

/** How many characters may wait for a slow reader; lines beyond that are dropped and counted. */
const MAX_WAITING = 1 << 20;

/** How long lines are gathered before they are written, in milliseconds: a write costs more than making ten lines. */
const GATHER_MS = 20;

/**
 * Writes log lines without ever making anybody wait: a reader that has stopped (a full pipe) or a
 * destination that fails costs lines, never a check. Lines of some milliseconds leave in one write.
 */
export class LogOutput {
  readonly #destination: LogDestination;
  readonly #onResumed: (dropped: number) => void;
  readonly #encoder = new TextEncoder();
  #lines: string[] = [];
  /** Characters of the lines that wait or are being written. */
  #waiting = 0;
  #flushing: Promise<void> | undefined;
  #gathering: ReturnType<typeof setTimeout> | undefined;
  #dropped = 0;
  #told = 0;

  /** @param onResumed told how many lines were dropped, once lines get out again; must not throw */
  constructor(destination: LogDestination, onResumed: (dropped: number) => void = () => {}) {
    this.#destination = destination;
    this.#onResumed = onResumed;
  }

  /** Lines that were dropped since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * @param line a whole line with its newline
   * @param isUrgent whether it leaves at once, with those before it
   */
  add(line: string, isUrgent = false): void {
    if (this.#waiting + line.length > MAX_WAITING) {
      this.#dropped++;
      return;
    }
    this.#lines.push(line);
    this.#waiting += line.length;
    if (this.#flushing !== undefined) return;
    if (isUrgent) this.#startFlush();
    else this.#gathering ??= setTimeout(() => this.#startFlush(), GATHER_MS);
  }

  /** Settles when all lines are written, or after `timeoutMs`; never rejects. */
  async drain(timeoutMs: number): Promise<void> {
    if (this.#gathering !== undefined) this.#startFlush();
    if (this.#flushing !== undefined) await within(timeoutMs, this.#flushing, undefined);
  }

  #startFlush(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    this.#flushing ??= this.#flush();
  }

  async #flush(): Promise<void> {
    await Promise.resolve(); // so that lines of the same moment leave in the same write
    while (this.#lines.length > 0) {
      const text = this.#lines.join("");
      this.#lines = [];
      const bytes = this.#encoder.encode(text);
      const result = await this.#destination.write(bytes);
      this.#waiting -= text.length;
      if (!result.ok) this.#dropped += countLines(bytes.subarray(result.written));
      else this.#tellDropped();
    }
    this.#flushing = undefined;
  }

  #tellDropped(): void {
    const dropped = this.#dropped - this.#told;
    if (dropped === 0) return;
    this.#told = this.#dropped;
    this.#onResumed(dropped);
  }
}

function countLines(bytes: Uint8Array): number {
  return bytes.reduce((count, byte) => byte === NEWLINE ? count + 1 : count, 0);
}

/** How long a destination that has failed is not tried again, in milliseconds. */
const RETRY_MS = 1000;

/** Told what becomes of the log file, once at each change. None of these may throw. */
export interface LogFileObserver {
  /** It cannot be written: from now on its lines go elsewhere. */
  onFailed(error: unknown): void;
  /** From now on its lines go to it again. */
  onRecovered(): void;
  /** Old files cannot be deleted. */
  onUndeleted(error: unknown): void;
}

/** Writes to one destination, and to another while that fails. No line is written twice, or lost unless both fail. */
export class LogFallback implements LogDestination {
  readonly #first: LogDestination;
  readonly #second: LogDestination;
  readonly #observer: Pick<LogFileObserver, "onFailed" | "onRecovered">;
  readonly #now: () => number;
  #failedAt: number | undefined;

  /** @param now a clock in milliseconds that never goes back */
  constructor(
    first: LogDestination,
    second: LogDestination,
    observer: Pick<LogFileObserver, "onFailed" | "onRecovered">,
    now: () => number = () => performance.now(),
  ) {
    this.#first = first;
    this.#second = second;
    this.#observer = observer;
    this.#now = now;
  }

  async write(lines: Uint8Array): Promise<Written> {
    const resting = this.#failedAt !== undefined && this.#now() - this.#failedAt < RETRY_MS;
    if (resting) return await this.#second.write(lines);
    const first = await this.#first.write(lines);
    if (first.ok) {
      if (this.#failedAt !== undefined) this.#observer.onRecovered();
      this.#failedAt = undefined;
      return first;
    }
    if (this.#failedAt === undefined) this.#observer.onFailed(first.error);
    this.#failedAt = this.#now();
    const second = await this.#second.write(lines.subarray(first.written));
    return second.ok ? second : { ...second, written: first.written + second.written };
  }
}
