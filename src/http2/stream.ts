import { UnorderedSet } from "../unordered_set.ts";
import { ConnectionError, ErrorCode, MAX_WINDOW } from "./frame.ts";
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
