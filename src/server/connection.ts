import type { Logger, ThrottledWarnings } from "../log/log.ts";
import { formatHostPort } from "../protocol/host.ts";
import { LineBuffer } from "../protocol/line_buffer.ts";
import { parseRequest } from "../protocol/request.ts";
import type { ReadLimiter } from "./read_limiter.ts";

/**
 * A line that is complete but for its end is taken as ended after this pause, in milliseconds: HAProxy's
 * runtime API (`set server b/s agent-send`) cannot put a newline into the string.
 */
const QUIET_MS = 100;

/** How many lines of one connection may wait for their replies; then nothing is read until all are written. */
const MAX_PIPELINED = 64;

/**
 * How long the agent reads and discards what a client still sends before it closes, in milliseconds: to close with
 * unread bytes resets the connection, and the reset overtakes the replies.
 */
const LINGER_MS = 300;

/** How much is thrown away at most, in reads of {@linkcode DISCARD_BYTES}. */
const MAX_DISCARDED = 64;
const DISCARD_BYTES = 16 * 1024;

/**
 * How long to wait for a reset after the reply to a client that has ended its stream, in milliseconds. Where the
 * client is gone its machine answers the reply with a reset; where it has only ended its stream, it does not.
 */
const RESET_WAIT_MS = 50;

/** The other end of a connection. */
export interface Peer {
  /** Its IP address. */
  readonly host: string;
  /** Its address and port, for the log. */
  readonly text: string;
}

/** How a client hangs up: with a reset (RST) while it waits for this line alone, as HAProxy does, or otherwise. */
export type HangUp = "reset" | "closed";

/** A line that is not answered yet. */
export interface PendingReply {
  /**
   * Settles with the reply and its newline, or with `undefined` where silence is the reply: the connection
   * is closed then. Never rejects.
   */
  readonly reply: Promise<string | undefined> | string | undefined;
  /** The reply is written, and the client was still there. Idempotent. */
  delivered(): void;
  /**
   * The check is given up, and `reply` may never settle. Idempotent.
   *
   * @param hangUp how the client has gone; `undefined` when it is the agent that closes
   * @param at when, in milliseconds of `performance.now()`
   */
  abandon(hangUp?: HangUp, at?: number): void;
}

/** Has one line answered. */
export type AnswerLine = (line: string, peer: Peer) => PendingReply;

/** The bounds of a connection. */
export interface ConnectionLimits {
  /** Longest request line, without its end, in bytes; a longer one closes the connection. */
  readonly maxLineBytes: number;
  /** Time from the first byte of a line to its end, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** Time without a request, in milliseconds. */
  readonly idleTimeoutMs: number;
}

const NOTHING = new Uint8Array();

const encoder = new TextEncoder();
const COMMON_REPLIES: ReadonlyMap<string, Uint8Array> = new Map(
  ["up\n", "down\n"].map((reply) => [reply, encoder.encode(reply)]),
);
/** `ignoreBOM` keeps a byte order mark in the text, where it makes the line invalid. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * One client's connection. It reads lines, has each answered as soon as it is there, and writes the
 * replies in the order of the lines.
 */
export class Connection {
  readonly peer: Peer;
  /** Settles once it is closed and no reply is outstanding; never rejects. */
  readonly ended: Promise<void>;
  readonly #socket: Deno.TcpConn;
  readonly #limits: ConnectionLimits;
  readonly #answer: AnswerLine;
  readonly #log: Logger;
  readonly #warnings: ThrottledWarnings;
  readonly #reads: ReadLimiter;
  readonly #lines: LineBuffer;
  /** Replies that are not written yet, in the order of the lines. */
  readonly #replies: PendingReply[] = [];
  /** Settles when no reply is outstanding; never rejects. */
  #answering: Promise<void> | undefined;
  /** A reply has been written. */
  #replied = false;
  /** A write waits for the client to read. */
  #writing = false;
  /** No further line is taken: the stream has ended, a limit was reached, or the agent stops. */
  #finished = false;
  /** When the client ended its stream, in milliseconds of `performance.now()`. */
  #endedAt: number | undefined;
  /** The oldest line that was not answered when the client ended its stream. */
  #askedAtEnd: PendingReply | undefined;
  #closed = false;
  /** Closes after the goodbye. */
  #goodbye: ReturnType<typeof setTimeout> | undefined;
  /** When the unfinished line began, or else when something last happened. */
  #since = performance.now();

  constructor(
    socket: Deno.TcpConn,
    limits: ConnectionLimits,
    answer: AnswerLine,
    log: Logger,
    warnings: ThrottledWarnings,
    reads: ReadLimiter,
  ) {
    this.#socket = socket;
    this.#limits = limits;
    this.#answer = answer;
    this.#log = log;
    this.#warnings = warnings;
    this.#reads = reads;
    this.#lines = new LineBuffer(limits.maxLineBytes);
    // A reply must not wait for the client to acknowledge the one before.
    socket.setNoDelay();
    const { hostname, port } = socket.remoteAddr;
    this.peer = { host: hostname, text: formatHostPort(hostname, port) };
    this.ended = this.#serve();
  }

  async #serve(): Promise<void> {
    try {
      await this.#readLines();
      await this.#answering;
      if (this.#askedAtEnd !== undefined) await this.#seeWhetherGone(this.#askedAtEnd);
      if (this.#endedAt === undefined) await this.#discardRest();
    } catch (error) {
      this.#logBroken(error);
    } finally {
      this.#close();
    }
  }

  /** Takes no further line, sends the replies that are outstanding, and closes. */
  finish(): void {
    this.#finished = true;
    if (this.#answering === undefined) this.#close();
  }

  /** Closes at once when a time limit has passed. Called now and then by the server. */
  closeIfOverdue(now: number): void {
    if (this.#replies.length > 0 && !this.#writing) return;
    const halfSent = this.#lines.restLength > 0 && !this.#writing;
    const limit = halfSent ? this.#limits.requestTimeoutMs : this.#limits.idleTimeoutMs;
    if (now - this.#since < limit) return;
    if (halfSent) this.#recordUnfinished();
    this.#log.debug("Connection closed: nothing came in time", {
      peer: this.peer.text,
      limit: halfSent ? "request_timeout_ms" : "idle_timeout_ms",
    });
    this.#close();
  }

  async #readLines(): Promise<void> {
    while (!this.#finished) {
      if (this.#takeLine() && this.#lines.restLength > 0) await this.#takeFurtherLines();
      if (this.#replies.length >= MAX_PIPELINED) {
        await this.#answering;
        continue;
      }
      if (this.#lines.overlong) {
        this.#warnings.warn("A line is too long: closing the connection", () => ({
          peer: this.peer.text,
          max_line_bytes: this.#limits.maxLineBytes,
        }));
        return;
      }
      const turn = this.#reads.takeRead();
      if (turn !== undefined) await turn;
      const reading = this.#socket.read(this.#lines.space());
      const count = await (this.#restIsRequest() ? this.#endAfterPause(reading) : reading);
      if (count === null) {
        // The end of the stream also ends the last line.
        if (this.#lines.restLength > 0) this.#take(this.#lines.takeRest());
        this.#endedAt = performance.now();
        this.#askedAtEnd = this.#replies[0];
        return;
      }
      if (this.#lines.restLength === 0) this.#since = performance.now();
      this.#lines.fill(count);
    }
  }

  /** The unfinished line is a whole request without a line end: it is taken as ended if nothing follows for a while. */
  async #endAfterPause(reading: Promise<number | null>): Promise<number | null> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const quiet = new Promise<"quiet">((resolve) => {
      // The second step lets a read that is ready go first when the process itself was late.
      timer = setTimeout(() => timer = setTimeout(() => resolve("quiet")), QUIET_MS);
    });
    try {
      const ended = await Promise.race([reading, quiet]) === "quiet";
      if (ended && !this.#finished) this.#take(this.#lines.takeRest());
    } finally {
      clearTimeout(timer);
    }
    return await reading;
  }

  /**
   * Has a line that never ended counted and told like any other that is no request, though nobody hears the
   * answer: HAProxy sends such lines, and gives up, where `agent-send` lacks its `\n`.
   */
  #recordUnfinished(): void {
    if (!this.#restIsRequest()) this.#answer(decoder.decode(this.#lines.rest), this.peer);
  }

  #restIsRequest(): boolean {
    return this.#lines.restLength > 0 && parseRequest(decoder.decode(this.#lines.rest)).ok;
  }

  /** The first line belongs to its read; each further one waits for its turn like a read. */
  async #takeFurtherLines(): Promise<void> {
    do {
      const turn = this.#reads.takeRead();
      if (turn !== undefined) await turn;
    } while (!this.#finished && this.#takeLine() && this.#lines.restLength > 0);
  }

  /** @returns whether there was a line, and room for its reply */
  #takeLine(): boolean {
    const line = this.#replies.length < MAX_PIPELINED ? this.#lines.next() : undefined;
    if (line !== undefined) this.#take(line);
    return line !== undefined;
  }

  #take(line: Uint8Array<ArrayBuffer>): void {
    this.#since = performance.now();
    this.#replies.push(this.#answer(decoder.decode(line), this.peer));
    this.#answering ??= this.#writeReplies();
  }

  async #writeReplies(): Promise<void> {
    try {
      for (let next = this.#replies[0]; next !== undefined; next = this.#replies[0]) {
        const reply = await next.reply;
        if (reply === undefined) return this.#close();
        const bytes = COMMON_REPLIES.get(reply) ?? encoder.encode(reply);
        this.#since = performance.now();
        this.#writing = true;
        let sent = await this.#socket.write(bytes);
        while (sent < bytes.length) sent += await this.#socket.write(bytes.subarray(sent));
        this.#writing = false;
        this.#replied = true;
        this.#replies.shift();
        // A client that has ended its stream may be gone.
        if (this.#endedAt === undefined) next.delivered();
      }
    } catch (error) {
      this.#logBroken(error);
    }
    // Nothing is awaited since the loop found no further reply, so a line taken later starts a new loop.
    this.#answering = undefined;
    if (this.#finished) this.#sayGoodbye();
  }

  /** After the last reply: the client hears that there are no more, and may end first. */
  #sayGoodbye(): void {
    if (this.#closed || this.#goodbye !== undefined) return;
    this.#goodbye = setTimeout(() => this.#close(), LINGER_MS);
    this.#socket.closeWrite().catch(() => {}); // it has ended already
  }

  /**
   * The end of a stream does not tell whether the client still reads. If it does not, its machine resets the
   * connection when the reply comes, and only a further write shows that.
   */
  async #seeWhetherGone(asked: PendingReply): Promise<void> {
    if (this.#closed) return;
    await new Promise((resolve) => setTimeout(resolve, RESET_WAIT_MS));
    if (this.#closed) return;
    await this.#socket.write(NOTHING).catch(() => {
      if (!this.#closed) asked.abandon("closed", this.#endedAt);
    });
  }

  async #discardRest(): Promise<void> {
    if (this.#closed) return;
    this.#sayGoodbye();
    const rest = new Uint8Array(DISCARD_BYTES);
    for (let reads = 0; reads < MAX_DISCARDED; reads++) {
      if (await this.#socket.read(rest) === null) return;
    }
  }

  /** HAProxy resets the connection as soon as it has its reply: that is not worth a warning. */
  #logBroken(error: unknown): void {
    if (this.#closed) return;
    // A reply that is being written may well have arrived: the reset can overtake the write's end.
    const replied = this.#replied || this.#writing;
    if (this.#replies.length === 0 && this.#lines.restLength > 0 && !replied) {
      this.#recordUnfinished();
    }
    this.#log.debug("Connection reset by the peer", {
      peer: this.peer.text,
      error: String(error),
    });
    if (this.#endedAt !== undefined) this.#close("closed", this.#endedAt);
    else this.#close(error instanceof Deno.errors.ConnectionReset ? "reset" : "closed");
  }

  /**
   * @param hangUp how the client has hung up, if it has
   * @param at when, in milliseconds of `performance.now()`
   */
  #close(hangUp?: HangUp, at = performance.now()): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#finished = true;
    clearTimeout(this.#goodbye);
    // HAProxy sends one line a connection; of several, nobody knows for which the client did not wait.
    const how = hangUp === "reset" && this.#replies.length > 1 ? "closed" : hangUp;
    for (const reply of this.#replies) reply.abandon(how, at);
    this.#socket.close();
  }
}
