import { FloodBounds } from "./flood_bounds.ts";
import { FlowControl } from "./flow_control.ts";
import {
  ConnectionError,
  ErrorCode,
  errorName,
  type Frame,
  FrameEncoder,
  PRIORITY_BYTES,
  Setting,
  SETTING_BYTES,
  shownText,
  StreamError,
} from "./frame.ts";
import { FrameDecoder } from "./frame_decoder.ts";
import type { HeaderField } from "./hpack.ts";
import { PeerSettings, ServerPreface } from "./peer_settings.ts";
import {
  checkFields,
  contentLengthOf,
  MAX_HEADER_BYTES,
  type ResponseHeaders,
  ResponseHeadersReader,
  statusOf,
} from "./response_headers.ts";
import { type Stream, type StreamOwner, type StreamRequest, Streams } from "./stream.ts";

/**
 * The life of a session. `draining` opens no stream and ends with the last one; `closed` takes and sends
 * nothing.
 */
export type SessionState = "open" | "draining" | "closed";

/** How much of a body is taken: gRPC's prefix, a health message of 4 KiB, and a byte more, which is one too many. */
const MAX_BODY_BYTES = 5 + 4096 + 1;

/** How many informational answers (1xx) one request may get. */
const MAX_INFORMATIONAL = 16;

/** How many bytes may wait to be written while the peer does not read. */
const MAX_UNSENT_BYTES = 64 * 1024;

const PING_DATA = new Uint8Array(8);

/** What the client says in its SETTINGS. */
const CLIENT_SETTINGS = [
  [Setting.ENABLE_PUSH, 0],
  [Setting.MAX_HEADER_LIST_SIZE, MAX_HEADER_BYTES],
] as const;

/**
 * The client's side of one HTTP/2 connection (RFC 9113): bytes in, ends of streams out, and bytes to send.
 * It knows no socket and no clock.
 */
export class Session {
  readonly #decoder = new FrameDecoder();
  readonly #output = new FrameEncoder();
  readonly #preface = new ServerPreface();
  readonly #settings = new PeerSettings();
  readonly #headers = new ResponseHeadersReader();
  readonly #bounds = new FloodBounds();
  readonly #streams = new Streams();
  readonly #flow = new FlowControl(this.#output);
  #state: SessionState = "open";
  /** The server's GOAWAY; `lastStreamId` is that of the last stream that it processes. */
  #goaway: { readonly lastStreamId: number; readonly text: string } | undefined;
  #signsOfLife = 0;
  /** {@linkcode signsOfLife} when a PING went out; `undefined` once an answer has come. */
  #signsAtPing: number | undefined;

  constructor() {
    this.#output.preface(CLIENT_SETTINGS);
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Requests under way. */
  get openStreams(): number {
    return this.#streams.size;
  }

  /** How many more requests may begin now. */
  get freeStreams(): number {
    if (this.#state !== "open" || !this.#flow.hasRoom || this.#streams.isUsedUp) return 0;
    return Math.max(0, this.#settings.maxStreams - this.#streams.size);
  }

  /** Whether the server's SETTINGS have come. */
  get hasSettings(): boolean {
    return this.#settings.arrived;
  }

  /** Whether the server has said GOAWAY. */
  get isServerLeaving(): boolean {
    return this.#goaway !== undefined;
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
   * @param headerBlock its header fields, encoded for HPACK
   * @returns the stream's id
   */
  open(request: StreamRequest, headerBlock: Uint8Array, owner: StreamOwner): number {
    const { initialWindow, arrived, maxFrameBytes } = this.#settings;
    const stream = this.#streams.open(request, owner, initialWindow, !arrived);
    const { id } = stream;
    this.#bounds.countRequest();
    const reason = this.#settings.headersMistake(request.headerListBytes);
    if (reason !== undefined) {
      this.#streams.end(stream, { kind: "malformed", reason });
      return id;
    }
    const block = this.#settings.withSizeUpdate(headerBlock);
    this.#output.headers(id, block, maxFrameBytes);
    this.#flow.sendBody(stream, maxFrameBytes);
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
    this.#streams.delete(stream);
    this.#closeIfDrained();
    return true;
  }

  /**
   * Asks for a sign of life. At most once between two answers: gRPC servers end a connection that pings
   * oftener (`too_many_pings`).
   *
   * @returns {@linkcode signsOfLife} when it was asked, which may have been before
   */
  ping(): number {
    if (this.#signsAtPing !== undefined) return this.#signsAtPing;
    if (this.#state !== "closed") this.#output.ping(PING_DATA);
    return this.#signsAtPing = this.#signsOfLife;
  }

  /** Begins no further request, and closes once those under way have ended. */
  drain(): void {
    if (this.#state === "open") this.#state = "draining";
    this.#closeIfDrained();
  }

  /** The connection has ended. */
  transportEnded(reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    const goaway = this.#goaway === undefined ? "" : ` after ${this.#goaway.text}`;
    this.#streams.endAll((stream) => ({
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
    if (this.#state === "closed") return;
    this.#signsOfLife++;
    try {
      if (!this.#preface.arrived) this.#preface.receive(bytes);
      this.#bounds.receive(now, this.#streams.size);
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

  #closeIfDrained(): void {
    if (this.#state !== "draining" || this.#streams.size > 0) return;
    this.#output.goaway(ErrorCode.NO_ERROR);
    this.#state = "closed";
  }

  #fail({ code, message }: ConnectionError): void {
    this.#output.goaway(code);
    this.#state = "closed";
    if (!this.#preface.arrived) {
      this.#streams.endAll(() => ({ kind: "not_http2", reason: message }));
      return;
    }
    const kind = code === ErrorCode.ENHANCE_YOUR_CALM ? "flooded" : "malformed";
    this.#streams.endAll(() => ({ kind, reason: `The server breaks HTTP/2: ${message}` }));
  }

  #take(frame: Frame): void {
    this.#headers.checkSequence(frame);
    try {
      this.#takeByType(frame);
    } catch (error) {
      if (!(error instanceof StreamError && "streamId" in frame)) throw error;
      this.#failStream(frame.streamId, error);
    }
  }

  #takeByType(frame: Frame): void {
    switch (frame.type) {
      case "data":
        return this.#takeData(frame);
      case "headers":
      case "continuation": {
        const isLate = this.#streams.get(frame.streamId) === undefined;
        if (isLate) this.#bounds.countControlFrame(frame.fragment.length);
        const headers = this.#headers.add(frame);
        if (headers !== undefined) this.#takeHeaders(headers);
        return;
      }
      case "goaway":
        return this.#takeGoaway(frame);
      case "rst_stream":
        this.#bounds.countControlFrame();
        return this.#takeReset(frame.streamId, frame.code);
      case "settings":
        this.#bounds.countControlFrame(frame.values.length * SETTING_BYTES);
        return this.#takeSettings(frame.values);
      case "window_update":
        this.#bounds.countControlFrame();
        return this.#takeWindowUpdate(frame.streamId, frame.increment);
      case "ping":
        this.#bounds.countControlFrame();
        this.#output.pingAck(frame.data);
        return;
      case "priority":
        this.#bounds.countControlFrame(frame.bytes);
        if (frame.bytes !== PRIORITY_BYTES) this.#refusePriority(frame.streamId, frame.bytes);
        return;
      case "ignored":
        return this.#bounds.countControlFrame(frame.bytes);
      case "ping_ack":
      case "settings_ack":
        return this.#bounds.countControlFrame();
    }
  }

  /** A wrong length is an error of the stream (RFC 9113, section 6.3); of the connection where there is no stream. */
  #refusePriority(streamId: number, bytes: number): void {
    const reason = `PRIORITY of ${bytes} bytes`;
    throw this.#streams.get(streamId) === undefined
      ? new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, reason)
      : new StreamError(reason, ErrorCode.FRAME_SIZE_ERROR);
  }

  #takeSettings(values: readonly (readonly [number, number])[]): void {
    const windowBefore = this.#settings.initialWindow;
    this.#settings.apply(values);
    this.#flow.changeInitialWindow(this.#streams, this.#settings.initialWindow - windowBefore);
    this.#output.settingsAck();
    for (const stream of this.#streams) {
      const reason = this.#settings.headersMistake(stream.request.headerListBytes);
      if (stream.sent > 0 || reason === undefined) continue;
      this.#reset(stream, ErrorCode.CANCEL);
      this.#streams.end(stream, { kind: "malformed", reason });
    }
    this.#sendBodies();
  }

  #takeWindowUpdate(streamId: number, increment: number): void {
    if (streamId === 0) {
      this.#flow.widen(increment);
      return this.#sendBodies();
    }
    this.#streams.expectOpened(streamId);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    this.#flow.widenStream(stream, increment);
    this.#flow.sendBody(stream, this.#settings.maxFrameBytes);
  }

  /** Ends no stream yet: the answer to one above `lastStreamId` may have come in the same read. */
  #takeGoaway({ lastStreamId, code, debugData }: Extract<Frame, { type: "goaway" }>): void {
    this.#bounds.countControlFrame(debugData.length);
    const why = [errorName(code), ...debugData.length > 0 ? [shownText(debugData)] : []].join(": ");
    this.#goaway = {
      lastStreamId: Math.min(this.#goaway?.lastStreamId ?? Infinity, lastStreamId),
      text: `GOAWAY (${why})`,
    };
    if (this.#state === "open") this.#state = "draining";
  }

  /** Ends the streams that the server says it will not process; called after each read. */
  #refuseUnprocessed(): void {
    if (this.#goaway !== undefined) {
      const { lastStreamId, text } = this.#goaway;
      const end = { kind: "refused", reason: `The server sent ${text}` } as const;
      for (const stream of this.#streams) {
        if (stream.id <= lastStreamId) continue;
        this.#streams.expectLateFrames(stream.id); // a server may answer all the same
        this.#streams.end(stream, end);
      }
    }
    if (this.#settings.maxStreams > 0) return;
    // It will answer no further request on this connection; those of which an answer has begun go on.
    const reason = "The server allows no streams (MAX_CONCURRENT_STREAMS is 0)";
    if (this.#state === "open") this.#state = "draining";
    for (const stream of this.#streams) {
      if (!stream.beforeSettings || stream.answer.kind !== "none") continue;
      this.#reset(stream, ErrorCode.CANCEL);
      this.#streams.end(stream, { kind: "refused", reason });
    }
  }

  #takeReset(streamId: number, code: number): void {
    this.#streams.expectOpened(streamId);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    // RFC 9113, section 5.1.2: a server may refuse a stream beyond its limit with either code.
    const beyondLimit = code === ErrorCode.PROTOCOL_ERROR && stream.beforeSettings &&
      stream.answer.kind === "none" && this.#settings.arrived &&
      this.#streams.size > this.#settings.maxStreams;
    this.#streams.end(
      stream,
      code === ErrorCode.REFUSED_STREAM || beyondLimit
        ? { kind: "refused", reason: "The server refused the stream (REFUSED_STREAM)" }
        : { kind: "reset", code },
    );
  }

  #takeData(
    { streamId, data, endStream, windowBytes }: Extract<Frame, { type: "data" }>,
  ): void {
    this.#flow.credit(windowBytes);
    if (data.length === 0) this.#bounds.countControlFrame();
    const stream = this.#streams.of(streamId, "DATA");
    if (stream === undefined) return this.#bounds.countUnwanted(windowBytes);
    const { answer } = stream;
    if (answer.kind === "none") {
      throw new StreamError("DATA came before HEADERS");
    }
    const room = MAX_BODY_BYTES - answer.body.length;
    const body = new Uint8Array(answer.body.length + Math.min(room, data.length));
    body.set(answer.body);
    body.set(data.length <= room ? data : data.subarray(0, room), answer.body.length);
    const { status, fields, contentLength } = answer;
    if (answer.body.length + data.length > contentLength) {
      throw new StreamError("more DATA than content-length says");
    }
    stream.answer = { kind: "headers", status, fields, contentLength, body };
    const truncated = data.length >= room;
    if (endStream) this.#finish(stream, [], truncated);
    else if (truncated || stream.request.isDecided(status, fields, body)) this.#finishEarly(stream);
    else this.#flow.creditStream(stream, windowBytes);
  }

  #takeHeaders({ streamId, endStream, fields }: ResponseHeaders): void {
    const stream = this.#streams.of(streamId, "HEADERS");
    if (stream === undefined) return;
    const { answer } = stream;
    if (answer.kind === "headers") {
      checkFields(fields, "trailers");
      if (!endStream) throw new StreamError("trailers without END_STREAM");
      return this.#finish(stream, fields);
    }
    checkFields(fields, "headers");
    const status = statusOf(fields);
    if (status < 200) return this.#takeInformational(stream, status, endStream);
    const contentLength = contentLengthOf(fields);
    stream.answer = { kind: "headers", status, fields, contentLength, body: NO_BODY };
    if (endStream) this.#finish(stream, []);
    else if (stream.request.isDecided(status, fields, NO_BODY)) this.#finishEarly(stream);
  }

  #takeInformational(stream: Stream, status: number, endStream: boolean): void {
    const informational = stream.answer.kind === "none" ? stream.answer.informational + 1 : 0;
    if (endStream || status === 101) {
      throw new StreamError(`an answer of :status ${status}`);
    }
    if (informational > MAX_INFORMATIONAL) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "informational answers without end");
    }
    stream.answer = { kind: "none", informational };
  }

  /** @param truncated whether not all of the answer's body was taken */
  #finish(stream: Stream, trailers: readonly HeaderField[], truncated = false): void {
    if (stream.sent < stream.request.body.length) this.#reset(stream, ErrorCode.CANCEL);
    this.#answered(stream, trailers, truncated);
  }

  /** Ends a stream of whose answer the rest is of no use; it may still come. */
  #finishEarly(stream: Stream): void {
    this.#reset(stream, ErrorCode.CANCEL);
    this.#answered(stream, [], true);
  }

  #answered(stream: Stream, trailers: readonly HeaderField[], truncated: boolean): void {
    const { answer } = stream;
    if (answer.kind === "none") return;
    this.#signsAtPing = undefined;
    this.#bounds.countAnswer();
    const { status, fields: headers, body } = answer;
    this.#streams.end(stream, {
      kind: "response",
      response: { status, headers, body, truncated, trailers },
    });
  }

  #failStream(streamId: number, { code, message }: StreamError): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    this.#reset(stream, code);
    this.#streams.end(stream, {
      kind: "malformed",
      reason: `The answer breaks HTTP/2: ${message}`,
    });
  }

  #reset(stream: Stream, code: number): void {
    this.#output.rstStream(stream.id, code);
    this.#streams.expectLateFrames(stream.id);
  }

  #sendBodies(): void {
    for (const stream of this.#streams) this.#flow.sendBody(stream, this.#settings.maxFrameBytes);
  }
}

const NO_BODY = new Uint8Array(0);
