import {
  ConnectionError,
  DEFAULT_MAX_FRAME_BYTES,
  ErrorCode,
  errorName,
  type Frame,
  FrameDecoder,
  FrameEncoder,
  MAX_WINDOW,
  Setting,
  StreamError,
} from "./frame.ts";
import { type HeaderField, HpackDecoder, HpackError, SIZE_UPDATE_TO_ZERO } from "./hpack.ts";
import { checkFields, statusOf } from "./response_fields.ts";

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

/** A request of one HEADERS and one DATA. */
export interface StreamRequest {
  /** The fields, encoded for HPACK. */
  readonly headerBlock: Uint8Array;
  /** Their size as SETTINGS_MAX_HEADER_LIST_SIZE counts it, in bytes. */
  readonly headerListBytes: number;
  readonly body: Uint8Array;
  /** Whether what has come of an answer decides already; the rest is not waited for then. */
  readonly isDecided: (
    status: number,
    headers: readonly HeaderField[],
    body: Uint8Array,
  ) => boolean;
  /** Called once, unless the stream is cancelled. */
  readonly onEnd: (end: StreamEnd) => void;
}

/**
 * The life of a session. `draining` opens no stream and ends with the last one; `closed` takes and sends
 * nothing.
 */
export type SessionState =
  | { readonly kind: "open" }
  | { readonly kind: "draining"; readonly reason: string }
  | { readonly kind: "closed"; readonly reason: string };

/** Longest body that is taken: gRPC's prefix and a health message of 4 KiB, and one byte too many. */
const MAX_BODY_BYTES = 5 + 4096 + 1;

/** Longest header block, encoded and decoded. An answer to a health check has some hundred bytes of them. */
const MAX_HEADER_BYTES = 16 * 1024;

/** CONTINUATION frames of one block; a flood of empty ones costs the receiver only (CVE-2024-27316). */
const MAX_CONTINUATIONS = 32;

/** Informational answers (1xx) to one request. */
const MAX_INFORMATIONAL = 16;

/**
 * Frames that bring no answer forward (SETTINGS, PING, RST_STREAM, WINDOW_UPDATE, empty DATA, unknown
 * ones) in one second, and how many more for each request of that second: servers measure the bandwidth
 * by a PING with each answer.
 */
const MAX_CONTROL_FRAMES = 500;
const CONTROL_FRAMES_PER_REQUEST = 20;

/** Bytes that wait to be written while the peer does not read. */
const MAX_UNSENT_BYTES = 64 * 1024;

/** Streams at once on one connection, whatever the server allows: RFC 9113 advises servers to allow 100. */
const MAX_STREAMS = 100;

/** The longest body of a request: where the server's window is smaller, none begins. */
const MAX_REQUEST_BYTES = 512;

/** Until the server's SETTINGS have come nobody knows how many streams it allows. */
const STREAMS_BEFORE_SETTINGS = 1;

/** Windows until they are changed (RFC 9113, section 6.9.2), in bytes. */
const DEFAULT_WINDOW = 65_535;

/** The size of HPACK's dynamic table unless it is changed (RFC 9113, section 6.5.2). */
const DEFAULT_HEADER_TABLE_BYTES = 4096;

/** What has been received is credited in lumps, so that not each DATA costs a WINDOW_UPDATE. */
const CREDIT_BYTES = DEFAULT_WINDOW / 2;

/** DATA of streams given up: what was under way when the server heard of it is no more than its windows. */
const MAX_UNWANTED_BYTES = 2 * DEFAULT_WINDOW;

/** Streams given up of which late frames are expected. */
const MAX_REMEMBERED_CANCELS = 200;

/** How much is shown of what a peer that speaks no HTTP/2 sends, in bytes. */
const SHOWN_BYTES = 40;

const PING_DATA = new Uint8Array(8);

/** What a stream has got so far. */
type Answer =
  | { readonly kind: "none"; readonly informational: number }
  | {
    readonly kind: "headers";
    readonly status: number;
    readonly fields: readonly HeaderField[];
    readonly body: Uint8Array;
  };

/** A request that is under way. */
interface Stream {
  readonly id: number;
  readonly request: StreamRequest;
  /** How many bytes the server takes of its body. */
  sendWindow: number;
  /** How much of the body has been sent. */
  sent: number;
  /** Bytes of DATA for which the server has not got the stream's window back. */
  uncredited: number;
  answer: Answer;
  /** Opened before the server had said how many streams it allows. */
  readonly beforeSettings: boolean;
}

/** A header block whose CONTINUATION frames have not all come. */
interface OpenBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  bytes: Uint8Array;
  continuations: number;
}

/**
 * The client's side of one HTTP/2 connection (RFC 9113): bytes in, ends of streams out, and bytes to send.
 * It knows no socket and no clock.
 */
export class Session {
  readonly #decoder = new FrameDecoder();
  readonly #output = new FrameEncoder();
  readonly #hpack = new HpackDecoder(MAX_HEADER_BYTES);
  readonly #streams = new Map<number, Stream>();
  readonly #cancelled = new Set<number>();
  #state: SessionState = { kind: "open" };
  #nextStreamId = 1;
  /** `undefined` until the server's SETTINGS have come. */
  #maxStreams: number | undefined;
  #maxFrameBytes = DEFAULT_MAX_FRAME_BYTES;
  #maxHeaderListBytes = Infinity;
  #initialWindow = DEFAULT_WINDOW;
  #sendWindow = DEFAULT_WINDOW;
  /** Bytes of DATA for which the server has not got its window back. */
  #uncredited = 0;
  #block: OpenBlock | undefined;
  /** The last stream that the server has begun, once a GOAWAY has said so. */
  #goawayLastStreamId: number | undefined;
  #goawayCode = 0;
  #signsOfLife = 0;
  /** DATA of streams that were given up, since the last answer. */
  #unwantedBytes = 0;
  #pinged = false;
  #owesSizeUpdate = false;
  #control = { second: 0, frames: 0, requests: 0 };
  /** The first bytes, for the reason why they are not HTTP/2. */
  #first: Uint8Array | undefined = new Uint8Array(0);

  constructor() {
    this.#output.preface([[Setting.ENABLE_PUSH, 0], [
      Setting.MAX_HEADER_LIST_SIZE,
      MAX_HEADER_BYTES,
    ]]);
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Requests under way. */
  get streams(): number {
    return this.#streams.size;
  }

  /** How many more requests may begin now. */
  get freeStreams(): number {
    if (this.#state.kind !== "open" || this.#sendWindow < MAX_REQUEST_BYTES) return 0;
    return Math.max(0, this.#streamLimit() - this.#streams.size);
  }

  /** Whether the server's SETTINGS have come. */
  get settled(): boolean {
    return this.#maxStreams !== undefined;
  }

  /** How often bytes have come; that it grows is a sign of life. */
  get signsOfLife(): number {
    return this.#signsOfLife;
  }

  /** Bytes that wait to be sent. */
  get outputLength(): number {
    return this.#output.length;
  }

  /** @returns the bytes to be sent since the last call; the caller owns them */
  takeOutput(): Uint8Array<ArrayBuffer> {
    return this.#output.take();
  }

  /**
   * Begins a request. Only to be called while {@linkcode freeStreams} is above 0.
   *
   * @returns the stream's id
   */
  open(request: StreamRequest): number {
    const id = this.#nextStreamId;
    this.#nextStreamId += 2;
    const stream: Stream = {
      id,
      request,
      sendWindow: this.#initialWindow,
      sent: 0,
      uncredited: 0,
      answer: { kind: "none", informational: 0 },
      beforeSettings: this.#maxStreams === undefined,
    };
    this.#streams.set(id, stream);
    this.#control.requests++;
    if (request.headerListBytes > this.#maxHeaderListBytes) {
      this.#end(stream, { kind: "malformed", reason: this.#tooManyHeaders(request) });
      return id;
    }
    this.#output.headers(id, this.#withSizeUpdate(request.headerBlock), this.#maxFrameBytes);
    this.#sendBody(stream);
    return id;
  }

  /**
   * Gives a request up; its `onEnd` is not called. The connection lives on.
   *
   * @returns whether it was under way
   */
  cancel(id: number): boolean {
    const stream = this.#streams.get(id);
    if (stream === undefined) return false;
    this.#reset(stream, ErrorCode.CANCEL);
    this.#streams.delete(id);
    this.#closeIfDrained();
    return true;
  }

  /**
   * Asks for a sign of life. At most once between two answers: gRPC servers end a connection that pings
   * oftener (`too_many_pings`).
   *
   * @returns whether a PING goes out
   */
  ping(): boolean {
    if (this.#pinged || this.#state.kind === "closed") return false;
    this.#pinged = true;
    this.#output.ping(PING_DATA);
    return true;
  }

  /** Begins no further request, and closes once those under way have ended. */
  drain(reason: string): void {
    if (this.#state.kind === "open") this.#setState({ kind: "draining", reason });
    this.#closeIfDrained();
  }

  /** The connection has ended under it. */
  transportEnded(reason: string): void {
    if (this.#state.kind === "closed") return;
    this.#setState({ kind: "closed", reason });
    const goaway = this.#goawayLastStreamId === undefined ? "" : ` after ${this.#goawayText()}`;
    this.#endAll((stream) => ({
      kind: "lost",
      reason: reason + goaway,
      begun: stream.answer.kind !== "none",
    }));
  }

  /**
   * Takes what was read. Afterwards there may be output, ended streams, and another state.
   *
   * @param now a clock in milliseconds that never goes back
   */
  receive(bytes: Uint8Array, now: number): void {
    if (this.#state.kind === "closed") return;
    this.#signsOfLife++;
    try {
      if (this.#first !== undefined) this.#checkFirst(this.#first, bytes);
      this.#countSecond(now);
      this.#decoder.push(bytes, (frame) => this.#take(frame));
      if (this.#output.length > MAX_UNSENT_BYTES) {
        throw new ConnectionError(
          ErrorCode.ENHANCE_YOUR_CALM,
          "it does not read what it asked for",
        );
      }
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.#fail(error);
      return;
    }
    this.#refuseUnprocessed();
    this.#closeIfDrained();
  }

  #streamLimit(): number {
    if (this.#nextStreamId > MAX_WINDOW) return 0; // 31 bits, as the windows have
    return Math.min(this.#maxStreams ?? STREAMS_BEFORE_SETTINGS, MAX_STREAMS);
  }

  /** The only place that changes the state. */
  #setState(state: SessionState): void {
    this.#state = state;
  }

  #closeIfDrained(): void {
    if (this.#state.kind !== "draining" || this.#streams.size > 0) return;
    this.#output.goaway(ErrorCode.NO_ERROR);
    this.#setState({ kind: "closed", reason: this.#state.reason });
  }

  #fail({ code, message }: ConnectionError): void {
    this.#output.goaway(code);
    const kind = this.#first !== undefined
      ? "not_http2"
      : code === ErrorCode.ENHANCE_YOUR_CALM
      ? "flooded"
      : "malformed";
    const reason = kind === "not_http2" ? message : `The server breaks HTTP/2: ${message}`;
    this.#setState({ kind: "closed", reason });
    this.#endAll(() => ({ kind, reason }));
  }

  /** The server's preface is a SETTINGS frame (RFC 9113, section 3.4). */
  #checkFirst(before: Uint8Array, bytes: Uint8Array): void {
    const first = new Uint8Array(Math.min(SHOWN_BYTES, before.length + bytes.length));
    first.set(before);
    first.set(bytes.subarray(0, first.length - before.length), before.length);
    this.#first = first;
    if (!beginsWithSettings(first)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, describeFirst(first));
    }
    if (first.length >= FRAME_HEADER_BYTES) this.#first = undefined;
  }

  #countSecond(now: number): void {
    const second = Math.floor(now / 1000);
    if (second === this.#control.second) return;
    this.#control = { second, frames: 0, requests: this.#streams.size };
  }

  #countControlFrame(): void {
    const { requests } = this.#control;
    const allowed = MAX_CONTROL_FRAMES + requests * CONTROL_FRAMES_PER_REQUEST;
    if (++this.#control.frames > allowed) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "it sends frames without end");
    }
  }

  #take(frame: Frame): void {
    if (this.#block !== undefined && !continues(frame, this.#block)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted");
    }
    try {
      this.#takeByType(frame);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      this.#failStream(error);
    }
  }

  #takeByType(frame: Frame): void {
    switch (frame.type) {
      case "data":
        return this.#takeData(frame);
      case "headers":
        return this.#takeBlock(frame.streamId, frame.endStream, frame.fragment, frame.endHeaders);
      case "continuation":
        return this.#takeContinuation(frame.fragment, frame.endHeaders);
      case "goaway":
        return this.#takeGoaway(frame.lastStreamId, frame.code);
      case "rst_stream":
        this.#countControlFrame();
        return this.#takeReset(frame.streamId, frame.code);
      case "settings":
        this.#countControlFrame();
        return this.#takeSettings(frame.values);
      case "window_update":
        this.#countControlFrame();
        return this.#takeWindowUpdate(frame.streamId, frame.increment);
      case "ping":
        this.#countControlFrame();
        this.#output.pingAck(frame.data);
        return;
      case "ping_ack":
      case "settings_ack":
      case "ignored":
        this.#countControlFrame();
        return;
    }
  }

  #takeSettings(values: readonly (readonly [number, number])[]): void {
    for (const [id, value] of values) this.#takeSetting(id, value);
    this.#maxStreams ??= MAX_STREAMS; // no limit unless it says one
    this.#output.settingsAck();
    for (const stream of this.#streams.values()) {
      if (stream.sent === 0 && stream.request.headerListBytes > this.#maxHeaderListBytes) {
        this.#reset(stream, ErrorCode.CANCEL);
        this.#end(stream, { kind: "malformed", reason: this.#tooManyHeaders(stream.request) });
      }
    }
    this.#sendBodies();
  }

  #takeSetting(id: number, value: number): void {
    switch (id) {
      case Setting.HEADER_TABLE_SIZE:
        this.#owesSizeUpdate ||= value < DEFAULT_HEADER_TABLE_BYTES;
        return;
      case Setting.ENABLE_PUSH:
        if (value > 1) {
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `SETTINGS_ENABLE_PUSH of ${value}`);
        }
        return;
      case Setting.MAX_CONCURRENT_STREAMS:
        this.#maxStreams = value;
        return;
      case Setting.INITIAL_WINDOW_SIZE: {
        if (value > MAX_WINDOW) {
          throw new ConnectionError(
            ErrorCode.FLOW_CONTROL_ERROR,
            `SETTINGS_INITIAL_WINDOW_SIZE of ${value}`,
          );
        }
        const change = value - this.#initialWindow;
        this.#initialWindow = value;
        for (const stream of this.#streams.values()) {
          stream.sendWindow += change; // may become negative (RFC 9113, section 6.9.2)
          if (stream.sendWindow > MAX_WINDOW) throw windowOverflow();
        }
        return;
      }
      case Setting.MAX_FRAME_SIZE:
        if (value < DEFAULT_MAX_FRAME_BYTES || value > 0xff_ffff) {
          throw new ConnectionError(
            ErrorCode.PROTOCOL_ERROR,
            `SETTINGS_MAX_FRAME_SIZE of ${value}`,
          );
        }
        this.#maxFrameBytes = value;
        return;
      case Setting.MAX_HEADER_LIST_SIZE:
        this.#maxHeaderListBytes = value;
        return;
    }
  }

  #takeWindowUpdate(streamId: number, increment: number): void {
    if (streamId === 0) {
      if (increment === 0) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0 bytes");
      }
      this.#sendWindow += increment;
      if (this.#sendWindow > MAX_WINDOW) throw windowOverflow();
      return this.#sendBodies();
    }
    this.#expectOpened(streamId);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    if (increment === 0) {
      throw new StreamError(streamId, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0 bytes");
    }
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW) {
      throw new StreamError(streamId, ErrorCode.FLOW_CONTROL_ERROR, "a window overflows");
    }
    this.#sendBody(stream);
  }

  /** Streams above the last one go on until all that came with the GOAWAY has been read. */
  #takeGoaway(lastStreamId: number, code: number): void {
    this.#countControlFrame();
    this.#goawayLastStreamId = Math.min(this.#goawayLastStreamId ?? Infinity, lastStreamId);
    this.#goawayCode = code;
    if (this.#state.kind === "open") {
      this.#setState({ kind: "draining", reason: `The server sent ${this.#goawayText()}` });
    }
  }

  #goawayText(): string {
    return `GOAWAY (${errorName(this.#goawayCode)})`;
  }

  /** A smaller table must be acknowledged by the next header block, used or not (RFC 9113, section 4.3.1). */
  #withSizeUpdate(block: Uint8Array): Uint8Array {
    if (!this.#owesSizeUpdate) return block;
    this.#owesSizeUpdate = false;
    const updated = new Uint8Array(1 + block.length);
    updated[0] = SIZE_UPDATE_TO_ZERO;
    updated.set(block, 1);
    return updated;
  }

  /** What the server says it has not processed, once all has been read that came at once. */
  #refuseUnprocessed(): void {
    const last = this.#goawayLastStreamId;
    if (last !== undefined) {
      const end = { kind: "refused", reason: `The server sent ${this.#goawayText()}` } as const;
      for (const stream of this.#streams.values()) {
        if (stream.id <= last) continue;
        this.#expectLateFrames(stream.id); // a server may answer what it has denied
        this.#end(stream, end);
      }
    }
    if (this.#maxStreams !== 0) return;
    // It will answer none on this connection; those that it has begun (an answer has) go on.
    const reason = "The server allows no streams (MAX_CONCURRENT_STREAMS is 0)";
    if (this.#state.kind === "open") this.#setState({ kind: "draining", reason });
    for (const stream of this.#streams.values()) {
      if (!stream.beforeSettings || stream.answer.kind !== "none") continue;
      this.#reset(stream, ErrorCode.CANCEL);
      this.#end(stream, { kind: "refused", reason });
    }
  }

  #takeReset(streamId: number, code: number): void {
    this.#expectOpened(streamId);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    // RFC 9113, section 5.1.2: what is beyond the limit may be refused by either code.
    const beyondLimit = code === ErrorCode.PROTOCOL_ERROR && stream.beforeSettings &&
      stream.answer.kind === "none" && this.#streams.size > (this.#maxStreams ?? Infinity);
    this.#end(
      stream,
      code === ErrorCode.REFUSED_STREAM || beyondLimit
        ? { kind: "refused", reason: "The server refused the stream (REFUSED_STREAM)" }
        : { kind: "reset", code },
    );
  }

  #takeData(
    { streamId, data, endStream, windowBytes }: Extract<Frame, { type: "data" }>,
  ): void {
    this.#credit(windowBytes);
    if (data.length === 0) this.#countControlFrame();
    const stream = this.#openStream(streamId, "DATA");
    if (stream === undefined) return this.#countUnwanted(windowBytes);
    const { answer } = stream;
    if (answer.kind === "none") {
      throw new StreamError(streamId, ErrorCode.PROTOCOL_ERROR, "DATA came before HEADERS");
    }
    const room = MAX_BODY_BYTES - answer.body.length;
    const body = new Uint8Array(answer.body.length + Math.min(room, data.length));
    body.set(answer.body);
    body.set(data.subarray(0, room), answer.body.length);
    const { status, fields } = answer;
    stream.answer = { kind: "headers", status, fields, body };
    if (data.length >= room) this.#finish(stream, [], true);
    else if (endStream) this.#finish(stream, []);
    else if (stream.request.isDecided(status, fields, body)) this.#finish(stream, [], true);
    else this.#creditStream(stream, windowBytes);
  }

  /** Bodies are short; but padding takes of the window too. */
  #creditStream(stream: Stream, bytes: number): void {
    stream.uncredited += bytes;
    if (stream.uncredited < CREDIT_BYTES) return;
    this.#output.windowUpdate(stream.id, stream.uncredited);
    stream.uncredited = 0;
  }

  #countUnwanted(bytes: number): void {
    this.#countControlFrame();
    this.#unwantedBytes += bytes;
    if (this.#unwantedBytes > MAX_UNWANTED_BYTES) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "it sends DATA without end");
    }
  }

  #credit(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited < CREDIT_BYTES) return;
    this.#output.windowUpdate(0, this.#uncredited);
    this.#uncredited = 0;
  }

  #takeBlock(
    streamId: number,
    endStream: boolean,
    fragment: Uint8Array,
    endHeaders: boolean,
  ): void {
    if (endHeaders) return this.#takeHeaders(streamId, endStream, fragment);
    this.#block = { streamId, endStream, bytes: fragment.slice(), continuations: 0 };
  }

  #takeContinuation(fragment: Uint8Array, endHeaders: boolean): void {
    const block = this.#block;
    if (block === undefined) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS");
    }
    const length = block.bytes.length + fragment.length;
    if (++block.continuations > MAX_CONTINUATIONS || length > MAX_HEADER_BYTES) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end");
    }
    const bytes = new Uint8Array(length);
    bytes.set(block.bytes);
    bytes.set(fragment, block.bytes.length);
    block.bytes = bytes;
    if (!endHeaders) return;
    this.#block = undefined;
    this.#takeHeaders(block.streamId, block.endStream, bytes);
  }

  #takeHeaders(streamId: number, endStream: boolean, block: Uint8Array): void {
    const fields = this.#decodeFields(block);
    const stream = this.#openStream(streamId, "HEADERS");
    if (stream === undefined) return this.#countControlFrame();
    const { answer } = stream;
    if (answer.kind === "headers") {
      checkFields(streamId, fields, "trailers");
      if (!endStream) {
        throw new StreamError(streamId, ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM");
      }
      return this.#finish(stream, fields);
    }
    checkFields(streamId, fields, "headers");
    const status = statusOf(streamId, fields);
    if (status < 200) return this.#takeInformational(stream, status, endStream);
    stream.answer = { kind: "headers", status, fields, body: NO_BODY };
    if (endStream) this.#finish(stream, []);
    else if (stream.request.isDecided(status, fields, NO_BODY)) this.#finish(stream, [], true);
  }

  /** The dynamic table must be kept, whatever becomes of the stream. */
  #decodeFields(block: Uint8Array): readonly HeaderField[] {
    try {
      return this.#hpack.decode(block);
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      throw new ConnectionError(
        ErrorCode.COMPRESSION_ERROR,
        `its header fields cannot be decoded: ${error.message}`,
      );
    }
  }

  #takeInformational(stream: Stream, status: number, endStream: boolean): void {
    const informational = stream.answer.kind === "none" ? stream.answer.informational + 1 : 0;
    if (endStream || status === 101) {
      throw new StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, `an answer of :status ${status}`);
    }
    if (informational > MAX_INFORMATIONAL) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "informational answers without end");
    }
    stream.answer = { kind: "none", informational };
  }

  /** @param early whether the server may still send something of it */
  #finish(stream: Stream, trailers: readonly HeaderField[], early = false): void {
    const { answer } = stream;
    if (answer.kind === "none") return;
    if (early || stream.sent < stream.request.body.length) this.#reset(stream, ErrorCode.CANCEL);
    this.#pinged = false;
    this.#unwantedBytes = 0;
    const { status, fields: headers, body } = answer;
    this.#end(stream, {
      kind: "response",
      response: { status, headers, body, truncated: early, trailers },
    });
  }

  #failStream({ streamId, code, message }: StreamError): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    this.#reset(stream, code);
    this.#end(stream, { kind: "malformed", reason: `The answer breaks HTTP/2: ${message}` });
  }

  #reset(stream: Stream, code: number): void {
    this.#output.rstStream(stream.id, code);
    this.#expectLateFrames(stream.id);
  }

  #expectLateFrames(streamId: number): void {
    this.#cancelled.add(streamId);
    if (this.#cancelled.size <= MAX_REMEMBERED_CANCELS) return;
    for (const oldest of this.#cancelled) {
      this.#cancelled.delete(oldest);
      return;
    }
  }

  #end(stream: Stream, end: StreamEnd): void {
    if (this.#streams.delete(stream.id)) stream.request.onEnd(end);
  }

  #endAll(endOf: (stream: Stream) => StreamEnd): void {
    const ends = [...this.#streams.values()].map((stream) => [stream, endOf(stream)] as const);
    for (const [stream, end] of ends) this.#end(stream, end);
  }

  /**
   * @returns the stream; `undefined` for one that was given up, whose late frames are legal
   * @throws {ConnectionError} for one that was never opened, or that the server itself has ended
   */
  #openStream(streamId: number, frame: string): Stream | undefined {
    this.#expectOpened(streamId);
    const stream = this.#streams.get(streamId);
    const mayBeCancelled = this.#cancelled.has(streamId) ||
      this.#cancelled.size >= MAX_REMEMBERED_CANCELS;
    if (stream === undefined && !mayBeCancelled) {
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, `${frame} on a stream that has ended`);
    }
    return stream;
  }

  #expectOpened(streamId: number): void {
    if (streamId % 2 === 1 && streamId < this.#nextStreamId) return;
    throw new ConnectionError(
      ErrorCode.PROTOCOL_ERROR,
      `a frame on stream ${streamId}, never opened`,
    );
  }

  #sendBodies(): void {
    for (const stream of this.#streams.values()) this.#sendBody(stream);
  }

  /** Sends as much of a request's body as the windows allow; its end with the last byte. */
  #sendBody(stream: Stream): void {
    const { body } = stream.request;
    while (stream.sent < body.length) {
      const room = Math.min(this.#sendWindow, stream.sendWindow, this.#maxFrameBytes);
      if (room <= 0) return;
      const part = body.subarray(stream.sent, stream.sent + room);
      stream.sent += part.length;
      stream.sendWindow -= part.length;
      this.#sendWindow -= part.length;
      this.#output.data(stream.id, part, stream.sent === body.length);
    }
  }

  #tooManyHeaders({ headerListBytes }: StreamRequest): string {
    return `The request's headers have ${headerListBytes} bytes, and the server takes ` +
      `${this.#maxHeaderListBytes} (SETTINGS_MAX_HEADER_LIST_SIZE): is there too much [metadata]?`;
  }
}

const NO_BODY = new Uint8Array(0);

const FRAME_HEADER_BYTES = 9;

function beginsWithSettings(bytes: Uint8Array): boolean {
  const [, , , type = 4, flags = 0, ...rest] = bytes;
  return type === 4 && (flags & 1) === 0 && rest.slice(0, 4).every((byte) => byte === 0);
}

function describeFirst(bytes: Uint8Array): string {
  // A TLS alert: the answer of a TLS server to what is no TLS.
  if (bytes[0] === 0x15 && bytes[1] === 0x03) {
    return "The peer speaks TLS: the line should say ssl";
  }
  const shown = new TextDecoder("latin1").decode(bytes).replace(/[^\x20-\x7e]+/g, ".");
  return `The peer does not speak HTTP/2: it sent ${JSON.stringify(shown)}`;
}

function continues(frame: Frame, block: OpenBlock): boolean {
  return frame.type === "continuation" && frame.streamId === block.streamId;
}

function windowOverflow(): ConnectionError {
  return new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window overflows");
}
