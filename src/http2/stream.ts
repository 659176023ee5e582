import { UnorderedSet } from "../unordered_set.ts";
import {
  ConnectionError,
  DEFAULT_WINDOW,
  ErrorCode,
  type FrameEncoder,
  MAX_WINDOW,
  StreamError,
} from "./frame.ts";
import type { HeaderField } from "./hpack.ts";

/** A whole answer. Names and values of fields hold one character per byte. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: readonly HeaderField[];
  readonly body: Uint8Array;
  /** Whether the rest was not waited for; then there are no trailers. */
  readonly truncated: boolean;
  readonly trailers: readonly HeaderField[];
}

/** How a stream ended. */
export type StreamEnd =
  | { readonly kind: "response"; readonly response: HttpResponse }
  /** RST_STREAM in place of an answer, or of the rest of one. */
  | { readonly kind: "reset"; readonly code: number }
  /** The server has said that it has not begun to process it (RFC 9113, section 8.7). */
  | { readonly kind: "refused"; readonly reason: string }
  /** The connection ended. Whether the server has processed it is not known. */
  | { readonly kind: "lost"; readonly reason: string; readonly begun: boolean }
  /** The peer broke HTTP/2's rules. */
  | { readonly kind: "malformed"; readonly reason: string }
  /** What the peer sent first is not HTTP/2. */
  | { readonly kind: "not_http2"; readonly reason: string }
  /** The peer sent without end. */
  | { readonly kind: "flooded"; readonly reason: string };

/** A request of one HEADERS and one DATA, but for its header block. */
export interface StreamRequest {
  /** The size of its header fields as SETTINGS_MAX_HEADER_LIST_SIZE counts it, in bytes. */
  readonly headerListBytes: number;
  readonly body: Uint8Array;
  /** Whether what has come of an answer decides already; the rest is not waited for then. */
  readonly isDecided: (
    status: number,
    headers: readonly HeaderField[],
    body: Uint8Array,
  ) => boolean;
}

/** Whoever has begun a stream. */
export interface StreamOwner {
  /** Called once, unless the stream is cancelled. */
  onEnd(end: StreamEnd): void;
}

/** How many streams given up are remembered, so that late frames on them are no error. */
const MAX_REMEMBERED_CANCELS = 200;

/** How much of the answer has come. */
export type Answer =
  | { readonly kind: "none"; readonly informational: number }
  | {
    readonly kind: "headers";
    readonly status: number;
    readonly fields: readonly HeaderField[];
    /** How many bytes the body has at most; `Infinity` where the server has not said so. */
    readonly contentLength: number;
    readonly body: Uint8Array;
  };

/** A request that is under way. */
export interface Stream {
  readonly id: number;
  readonly request: StreamRequest;
  readonly owner: StreamOwner;
  /** How many more bytes of the body the server takes. */
  sendWindow: number;
  /** How much of the body has been sent. */
  sent: number;
  /** How many bytes of DATA have come that are not given back to the server by a WINDOW_UPDATE of the stream. */
  uncredited: number;
  answer: Answer;
  /** Opened before the server had said how many streams it allows. */
  readonly beforeSettings: boolean;
}

/** The streams of one session: those under way, and those given up of which frames may still come. */
export class Streams {
  readonly #streams = new UnorderedSet<Stream>();
  readonly #cancelled = new Set<number>();
  #nextId = 1;

  /** How many are under way. */
  get size(): number {
    return this.#streams.size;
  }

  /** Whether no further one can be opened: stream ids have 31 bits, as windows have. */
  get isUsedUp(): boolean {
    return this.#nextId > MAX_WINDOW;
  }

  [Symbol.iterator](): IterableIterator<Stream> {
    return this.#streams[Symbol.iterator]();
  }

  /** @param sendWindow how many bytes the server takes of the request's body */
  open(
    request: StreamRequest,
    owner: StreamOwner,
    sendWindow: number,
    beforeSettings: boolean,
  ): Stream {
    const id = this.#nextId;
    this.#nextId += 2;
    const stream: Stream = {
      id,
      request,
      owner,
      sendWindow,
      sent: 0,
      uncredited: 0,
      answer: { kind: "none", informational: 0 },
      beforeSettings,
    };
    this.#streams.add(stream);
    return stream;
  }

  /** @returns the stream of an id, where it is under way */
  get(id: number): Stream | undefined {
    return this.#streams.find((stream) => stream.id === id);
  }

  /**
   * @param frame its name
   * @returns the stream that a frame is on; `undefined` for one that was given up, whose late frames are legal
   * @throws {ConnectionError} for one that was never opened, or that the server itself has ended
   */
  of(id: number, frame: string): Stream | undefined {
    this.expectOpened(id);
    const stream = this.get(id);
    const mayBeCancelled = this.#cancelled.has(id) ||
      this.#cancelled.size >= MAX_REMEMBERED_CANCELS;
    if (stream === undefined && !mayBeCancelled) {
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, `${frame} on a stream that has ended`);
    }
    return stream;
  }

  /** @throws {ConnectionError} for a stream that was never opened */
  expectOpened(id: number): void {
    if (id % 2 === 1 && id < this.#nextId) return;
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `a frame on stream ${id}, never opened`);
  }

  /** The server may not know yet that the stream is given up. */
  expectLateFrames(id: number): void {
    this.#cancelled.add(id);
    if (this.#cancelled.size <= MAX_REMEMBERED_CANCELS) return;
    for (const oldest of this.#cancelled) {
      this.#cancelled.delete(oldest);
      return;
    }
  }

  /** Forgets a stream of which nobody wants to know the end. */
  delete(stream: Stream): void {
    this.#streams.delete(stream);
  }

  /** Tells how a stream ended, unless that was told before. */
  end(stream: Stream, end: StreamEnd): void {
    if (this.#streams.delete(stream)) stream.owner.onEnd(end);
  }

  endAll(endOf: (stream: Stream) => StreamEnd): void {
    const ends = [...this.#streams].map((stream) => [stream, endOf(stream)] as const);
    for (const [stream, end] of ends) this.end(stream, end);
  }
}

/** The longest body of a request. While the connection's window is smaller, no request begins. */
const MAX_REQUEST_BYTES = 512;

/** How many bytes are given back at once: a WINDOW_UPDATE for each DATA would cost too much. */
const CREDIT_BYTES = DEFAULT_WINDOW / 2;

/**
 * Flow control of one session and its streams (RFC 9113, section 5.2): sends no more of the requests' bodies than the
 * server's windows allow, and gives the server back what its answers have used of the agent's windows.
 */
export class FlowControl {
  readonly #output: FrameEncoder;
  #sendWindow = DEFAULT_WINDOW;
  /** How many bytes of DATA have come that are not given back to the server by a WINDOW_UPDATE. */
  #uncredited = 0;

  constructor(output: FrameEncoder) {
    this.#output = output;
  }

  /** Whether there is room for the body of another request. */
  get hasRoom(): boolean {
    return this.#sendWindow >= MAX_REQUEST_BYTES;
  }

  /** WINDOW_UPDATE of the connection. */
  widen(increment: number): void {
    if (increment === 0) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0 bytes");
    }
    this.#sendWindow += increment;
    if (this.#sendWindow > MAX_WINDOW) throw windowOverflow();
  }

  /** WINDOW_UPDATE of a stream. */
  widenStream(stream: Stream, increment: number): void {
    if (increment === 0) throw new StreamError("WINDOW_UPDATE of 0 bytes");
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW) {
      throw new StreamError("a window overflows", ErrorCode.FLOW_CONTROL_ERROR);
    }
  }

  /** SETTINGS_INITIAL_WINDOW_SIZE has changed by so many bytes, which holds for open streams too. */
  changeInitialWindow(streams: Streams, change: number): void {
    for (const stream of streams) {
      stream.sendWindow += change; // may become negative (RFC 9113, section 6.9.2)
      if (stream.sendWindow > MAX_WINDOW) throw windowOverflow();
    }
  }

  /** Sends as much of a request's body as the windows allow; its end with the last byte. */
  sendBody(stream: Stream, maxFrameBytes: number): void {
    const { body } = stream.request;
    while (stream.sent < body.length) {
      const room = Math.min(this.#sendWindow, stream.sendWindow, maxFrameBytes);
      if (room <= 0) return;
      const isWhole = stream.sent === 0 && body.length <= room;
      const part = isWhole ? body : body.subarray(stream.sent, stream.sent + room);
      stream.sent += part.length;
      stream.sendWindow -= part.length;
      this.#sendWindow -= part.length;
      this.#output.data(stream.id, part, stream.sent === body.length);
    }
  }

  /** DATA has come, on any stream. */
  credit(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited < CREDIT_BYTES) return;
    this.#output.windowUpdate(0, this.#uncredited);
    this.#uncredited = 0;
  }

  /** DATA has come on a stream that goes on. Bodies are short, but padding uses up the window too. */
  creditStream(stream: Stream, bytes: number): void {
    stream.uncredited += bytes;
    if (stream.uncredited < CREDIT_BYTES) return;
    this.#output.windowUpdate(stream.id, stream.uncredited);
    stream.uncredited = 0;
  }
}

function windowOverflow(): ConnectionError {
  return new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window overflows");
}

/**
 * Frames that bring no answer forward (SETTINGS, PING, RST_STREAM, WINDOW_UPDATE, empty DATA, unknown
 * ones) in one second, and how many more for each request of that second: servers measure the bandwidth
 * by a PING with each answer.
 */
const MAX_CONTROL_FRAMES = 500;
const CONTROL_FRAMES_PER_REQUEST = 20;

/** The same for the bytes of frames that may be long. */
const MAX_CONTROL_BYTES = 256 * 1024;
const CONTROL_BYTES_PER_REQUEST = 4096;

/** Bound on DATA for streams given up: no more than the windows allow can be under way when the server hears of it. */
const MAX_UNWANTED_BYTES = 2 * DEFAULT_WINDOW;

/** Bounds what a server may send that brings no answer forward, since it costs time that other checks need. */
export class FloodBounds {
  #second = 0;
  #frames = 0;
  #bytes = 0;
  #requests = 0;
  #unwantedBytes = 0;

  /**
   * Something has been read.
   *
   * @param now a clock in milliseconds that never goes back
   * @param streams requests under way
   */
  receive(now: number, streams: number): void {
    const second = Math.floor(now / 1000);
    if (second === this.#second) return;
    this.#second = second;
    this.#frames = 0;
    this.#bytes = 0;
    this.#requests = streams;
  }

  countRequest(): void {
    this.#requests++;
  }

  /**
   * @param bytes its content, where that may be long
   * @throws {ConnectionError} when there were too many, or too long ones, in this second
   */
  countControlFrame(bytes = 0): void {
    this.#bytes += bytes;
    const frames = MAX_CONTROL_FRAMES + this.#requests * CONTROL_FRAMES_PER_REQUEST;
    const most = MAX_CONTROL_BYTES + this.#requests * CONTROL_BYTES_PER_REQUEST;
    if (++this.#frames > frames || this.#bytes > most) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "it sends frames without end");
    }
  }

  /**
   * Counts DATA of a stream that was given up.
   *
   * @throws {ConnectionError} when there was too much of it since the last answer
   */
  countUnwanted(bytes: number): void {
    this.countControlFrame();
    this.#unwantedBytes += bytes;
    if (this.#unwantedBytes > MAX_UNWANTED_BYTES) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "it sends DATA without end");
    }
  }

  countAnswer(): void {
    this.#unwantedBytes = 0;
  }
}
