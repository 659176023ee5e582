/** HTTP/2 frames (RFC 9113, sections 4 to 6): what a client reads and writes of them. Knows no sockets. */

/** What a client sends first (RFC 9113, section 3.4). */
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_BYTES = 9;

/** The least that SETTINGS_MAX_FRAME_SIZE can be, and what holds unless it is announced, in bytes. */
export const DEFAULT_MAX_FRAME_BYTES = 16_384;

/** The greatest window and the greatest value of SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, section 6.9.1). */
export const MAX_WINDOW = 0x7fff_ffff;

const TYPE = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

const FLAG = { ACK: 0x1, END_STREAM: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

/** The parameters of SETTINGS that concern a client (RFC 9113, section 6.5.2). */
export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

/** Error codes of RST_STREAM and GOAWAY (RFC 9113, section 7). */
export const ErrorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const;

const ERROR_NAMES = Object.keys(ErrorCode);

/** @returns the name of an error code, or `error 4711` for one that RFC 9113 does not know */
export function errorName(code: number): string {
  return ERROR_NAMES[code] ?? `error ${code}`;
}

/** The peer broke HTTP/2's rules in a way that ends the connection (RFC 9113, section 5.4.1). */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";

  /** @param code what the GOAWAY says to the peer */
  constructor(readonly code: number, message: string) {
    super(message);
  }
}

/** The peer broke HTTP/2's rules in a way that ends one stream (RFC 9113, section 5.4.2). */
export class StreamError extends Error {
  override readonly name = "StreamError";

  /** @param code what the RST_STREAM says to the peer */
  constructor(readonly streamId: number, readonly code: number, message: string) {
    super(message);
  }
}

/** A frame that has been read. Bytes in it are valid until the decoder is given more. */
export type Frame =
  | {
    readonly type: "data";
    readonly streamId: number;
    readonly data: Uint8Array;
    readonly endStream: boolean;
    /** What it takes of the windows: its padding counts too. */
    readonly windowBytes: number;
  }
  | {
    readonly type: "headers";
    readonly streamId: number;
    readonly fragment: Uint8Array;
    readonly endStream: boolean;
    readonly endHeaders: boolean;
  }
  | {
    readonly type: "continuation";
    readonly streamId: number;
    readonly fragment: Uint8Array;
    readonly endHeaders: boolean;
  }
  | { readonly type: "rst_stream"; readonly streamId: number; readonly code: number }
  | {
    readonly type: "settings";
    readonly values: readonly (readonly [id: number, value: number])[];
  }
  | { readonly type: "settings_ack" }
  | { readonly type: "ping"; readonly data: Uint8Array }
  | { readonly type: "ping_ack"; readonly data: Uint8Array }
  | { readonly type: "goaway"; readonly lastStreamId: number; readonly code: number }
  | { readonly type: "window_update"; readonly streamId: number; readonly increment: number }
  /** PRIORITY, and types that RFC 9113 does not know. */
  | { readonly type: "ignored"; readonly streamId: number };

const NOTHING = new Uint8Array(0);

/**
 * Cuts what a server sends into frames, in whatever pieces it comes, and holds each type to its rules of
 * length and stream.
 */
export class FrameDecoder {
  /** The beginning of a frame whose rest has not come. */
  #begun: Uint8Array = NOTHING;
  #begunLength = 0;

  /**
   * Takes what was read and hands on the frames that are complete.
   *
   * @param onFrame may throw; then this decoder is not to be used any more
   * @throws {ConnectionError} for a frame that no server may send
   */
  push(bytes: Uint8Array, onFrame: (frame: Frame) => void): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#begunLength > 0) {
        at += this.#fill(bytes, at);
        const frame = this.#begunFrame();
        if (frame === undefined) continue;
        this.#begunLength = 0;
        onFrame(frame);
        continue;
      }
      const end = bytes.length - at < HEADER_BYTES ? Infinity : at + frameBytes(bytes, at);
      if (end > bytes.length) {
        this.#begin(bytes.subarray(at));
        return;
      }
      const frame = readFrame(bytes, at, end);
      at = end;
      onFrame(frame);
    }
    if (this.#begunLength === 0) this.#begun = NOTHING;
  }

  #begin(bytes: Uint8Array): void {
    const needed = bytes.length < HEADER_BYTES ? HEADER_BYTES : frameBytes(bytes, 0);
    this.#begun = new Uint8Array(needed);
    this.#begun.set(bytes);
    this.#begunLength = bytes.length;
  }

  /** @returns how many bytes were taken: no more than the frame's header, or else the whole frame, needs */
  #fill(bytes: Uint8Array, at: number): number {
    const count = Math.min(this.#begun.length - this.#begunLength, bytes.length - at);
    this.#begun.set(bytes.subarray(at, at + count), this.#begunLength);
    this.#begunLength += count;
    return count;
  }

  #begunFrame(): Frame | undefined {
    if (this.#begunLength < this.#begun.length) return undefined;
    const needed = frameBytes(this.#begun, 0);
    if (needed > this.#begunLength) {
      const header = this.#begun;
      this.#begun = new Uint8Array(needed);
      this.#begun.set(header);
      return undefined;
    }
    return readFrame(this.#begun, 0, needed);
  }
}

/** The length of the frame that begins here, with its header. */
function frameBytes(bytes: Uint8Array, at: number): number {
  const length = (byteAt(bytes, at) << 16) | (byteAt(bytes, at + 1) << 8) | byteAt(bytes, at + 2);
  // No SETTINGS_MAX_FRAME_SIZE is announced.
  if (length > DEFAULT_MAX_FRAME_BYTES) {
    throw new ConnectionError(
      ErrorCode.FRAME_SIZE_ERROR,
      `a frame of ${length} bytes is longer than the ${DEFAULT_MAX_FRAME_BYTES} allowed`,
    );
  }
  return HEADER_BYTES + length;
}

function readFrame(bytes: Uint8Array, at: number, end: number): Frame {
  const type = byteAt(bytes, at + 3);
  const flags = byteAt(bytes, at + 4);
  const streamId = uint32At(bytes, at + 5) & 0x7fff_ffff;
  const payload = bytes.subarray(at + HEADER_BYTES, end);
  switch (type) {
    case TYPE.DATA: {
      onStream("DATA", streamId);
      return {
        type: "data",
        streamId,
        data: withoutPadding("DATA", payload, flags),
        endStream: (flags & FLAG.END_STREAM) !== 0,
        windowBytes: payload.length,
      };
    }
    case TYPE.HEADERS: {
      onStream("HEADERS", streamId);
      const rest = withoutPadding("HEADERS", payload, flags);
      const priorityBytes = (flags & FLAG.PRIORITY) === 0 ? 0 : 5;
      if (rest.length < priorityBytes) throw wrongLength("HEADERS", payload.length);
      return {
        type: "headers",
        streamId,
        fragment: rest.subarray(priorityBytes),
        endStream: (flags & FLAG.END_STREAM) !== 0,
        endHeaders: (flags & FLAG.END_HEADERS) !== 0,
      };
    }
    case TYPE.CONTINUATION:
      onStream("CONTINUATION", streamId);
      return {
        type: "continuation",
        streamId,
        fragment: payload,
        endHeaders: (flags & FLAG.END_HEADERS) !== 0,
      };
    case TYPE.RST_STREAM:
      onStream("RST_STREAM", streamId);
      if (payload.length !== 4) throw wrongLength("RST_STREAM", payload.length);
      return { type: "rst_stream", streamId, code: uint32At(payload, 0) };
    case TYPE.SETTINGS:
      onConnection("SETTINGS", streamId);
      return readSettings(payload, flags);
    case TYPE.PUSH_PROMISE:
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which is switched off");
    case TYPE.PING:
      onConnection("PING", streamId);
      if (payload.length !== 8) throw wrongLength("PING", payload.length);
      return { type: (flags & FLAG.ACK) === 0 ? "ping" : "ping_ack", data: payload };
    case TYPE.GOAWAY:
      onConnection("GOAWAY", streamId);
      if (payload.length < 8) throw wrongLength("GOAWAY", payload.length);
      return {
        type: "goaway",
        lastStreamId: uint32At(payload, 0) & 0x7fff_ffff,
        code: uint32At(payload, 4),
      };
    case TYPE.WINDOW_UPDATE:
      if (payload.length !== 4) throw wrongLength("WINDOW_UPDATE", payload.length);
      return {
        type: "window_update",
        streamId,
        increment: uint32At(payload, 0) & 0x7fff_ffff,
      };
    case TYPE.PRIORITY:
      onStream("PRIORITY", streamId);
      if (payload.length !== 5) throw wrongLength("PRIORITY", payload.length);
      return { type: "ignored", streamId };
    default:
      return { type: "ignored", streamId };
  }
}

function readSettings(payload: Uint8Array, flags: number): Frame {
  if ((flags & FLAG.ACK) !== 0) {
    if (payload.length !== 0) throw wrongLength("SETTINGS", payload.length);
    return { type: "settings_ack" };
  }
  if (payload.length % 6 !== 0) throw wrongLength("SETTINGS", payload.length);
  const values: [number, number][] = [];
  for (let at = 0; at < payload.length; at += 6) {
    values.push([(byteAt(payload, at) << 8) | byteAt(payload, at + 1), uint32At(payload, at + 2)]);
  }
  return { type: "settings", values };
}

function withoutPadding(name: string, payload: Uint8Array, flags: number): Uint8Array {
  if ((flags & FLAG.PADDED) === 0) return payload;
  const padding = payload[0];
  if (padding === undefined) throw wrongLength(name, 0);
  if (padding >= payload.length) {
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${name} with more padding than payload`);
  }
  return payload.subarray(1, payload.length - padding);
}

function onStream(name: string, streamId: number): void {
  if (streamId === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${name} on stream 0`);
}

function onConnection(name: string, streamId: number): void {
  if (streamId !== 0) {
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${name} on stream ${streamId}`);
  }
}

function wrongLength(name: string, length: number): ConnectionError {
  return new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `${name} of ${length} bytes`);
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

function uint32At(bytes: Uint8Array, at: number): number {
  return ((byteAt(bytes, at) << 24) | (byteAt(bytes, at + 1) << 16) |
    (byteAt(bytes, at + 2) << 8) | byteAt(bytes, at + 3)) >>> 0;
}

/** Collects the bytes that a client sends, until they are taken to be written at once. */
export class FrameEncoder {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #length = 0;

  /** Bytes that wait to be taken. */
  get length(): number {
    return this.#length;
  }

  /** @returns all bytes since the last time; the caller owns them */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = new Uint8Array(0);
    this.#length = 0;
    return taken;
  }

  /** The connection preface: the fixed text, and SETTINGS. */
  preface(values: readonly (readonly [id: number, value: number])[]): void {
    this.#reserve(PREFACE.length);
    for (let at = 0; at < PREFACE.length; at++) this.#byte(PREFACE.charCodeAt(at));
    this.#header(TYPE.SETTINGS, 0, 0, values.length * 6);
    for (const [id, value] of values) {
      this.#byte(id >> 8);
      this.#byte(id);
      this.#uint32(value);
    }
  }

  /**
   * HEADERS, with CONTINUATION where the block is longer than a frame may be.
   *
   * @param maxFrameBytes the server's SETTINGS_MAX_FRAME_SIZE
   */
  headers(streamId: number, block: Uint8Array, maxFrameBytes: number): void {
    let type: number = TYPE.HEADERS;
    let at = 0;
    do {
      const end = Math.min(block.length, at + maxFrameBytes);
      this.#header(type, end === block.length ? FLAG.END_HEADERS : 0, streamId, end - at);
      this.#append(block.subarray(at, end));
      type = TYPE.CONTINUATION;
      at = end;
    } while (at < block.length);
  }

  /** DATA, of no more bytes than the windows and SETTINGS_MAX_FRAME_SIZE allow. */
  data(streamId: number, payload: Uint8Array, endStream: boolean): void {
    this.#header(TYPE.DATA, endStream ? FLAG.END_STREAM : 0, streamId, payload.length);
    this.#append(payload);
  }

  rstStream(streamId: number, code: number): void {
    this.#header(TYPE.RST_STREAM, 0, streamId, 4);
    this.#uint32(code);
  }

  settingsAck(): void {
    this.#header(TYPE.SETTINGS, FLAG.ACK, 0, 0);
  }

  /** @param data 8 bytes */
  ping(data: Uint8Array): void {
    this.#header(TYPE.PING, 0, 0, data.length);
    this.#append(data);
  }

  /** @param data the 8 bytes of the PING that is answered */
  pingAck(data: Uint8Array): void {
    this.#header(TYPE.PING, FLAG.ACK, 0, data.length);
    this.#append(data);
  }

  /** GOAWAY; a client has no streams of the server to name. */
  goaway(code: number): void {
    this.#header(TYPE.GOAWAY, 0, 0, 8);
    this.#uint32(0);
    this.#uint32(code);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#header(TYPE.WINDOW_UPDATE, 0, streamId, 4);
    this.#uint32(increment);
  }

  #header(type: number, flags: number, streamId: number, length: number): void {
    this.#reserve(HEADER_BYTES + length);
    this.#byte(length >> 16);
    this.#byte(length >> 8);
    this.#byte(length);
    this.#byte(type);
    this.#byte(flags);
    this.#uint32(streamId);
  }

  #append(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #uint32(value: number): void {
    this.#byte(value >>> 24);
    this.#byte(value >>> 16);
    this.#byte(value >>> 8);
    this.#byte(value);
  }

  #byte(value: number): void {
    this.#bytes[this.#length++] = value;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    // What is sent is mostly one call: the preface, SETTINGS and a request fit into 512 bytes.
    const larger = new Uint8Array(Math.max(512, needed, this.#length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
