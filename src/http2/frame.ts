/** HTTP/2 frames (RFC 9113, sections 4 to 7): their numbers, what a client reads of them, and what it writes. */

/** The length of what stands before each frame's payload (RFC 9113, section 4.1). */
export const FRAME_HEADER_BYTES = 9;

/** The length of one setting in SETTINGS (RFC 9113, section 6.5.1). */
export const SETTING_BYTES = 6;

/** The length of PRIORITY, and of the priority in HEADERS (RFC 9113, sections 6.3 and 6.2). */
export const PRIORITY_BYTES = 5;

/** The default of SETTINGS_MAX_FRAME_SIZE, which is also the least that it can be, in bytes. */
export const DEFAULT_MAX_FRAME_BYTES = 16_384;

/** The default size of flow-control windows (RFC 9113, section 6.9.2), in bytes. */
export const DEFAULT_WINDOW = 65_535;

/** The greatest window and the greatest SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, section 6.9.1), in bytes. */
export const MAX_WINDOW = 0x7fff_ffff;

/** Frame types (RFC 9113, section 6). */
export const FrameType = {
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

/** Flags of frames; what each means depends on the type. */
export const FrameFlag = {
  ACK: 0x1,
  END_STREAM: 0x1,
  END_HEADERS: 0x4,
  PADDED: 0x8,
  PRIORITY: 0x20,
} as const;

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

/** The peer broke HTTP/2's rules in a way that ends the stream of the frame (RFC 9113, section 5.4.2). */
export class StreamError extends Error {
  override readonly name = "StreamError";

  /** @param code what the RST_STREAM says to the peer */
  constructor(message: string, readonly code: number = ErrorCode.PROTOCOL_ERROR) {
    super(message);
  }
}

/** How much is shown of what a peer has sent, in bytes. */
export const SHOWN_BYTES = 40;

/** @returns the beginning of what a peer has sent, in quotes, with a dot for what cannot be printed */
export function shownText(bytes: Uint8Array): string {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, SHOWN_BYTES));
  return JSON.stringify(text.replace(/[^\x20-\x7e]+/g, "."));
}

/** A frame that has been read. Bytes in it are valid until the decoder is given more. */
export type Frame =
  | {
    readonly type: "data";
    readonly streamId: number;
    readonly data: Uint8Array;
    readonly endStream: boolean;
    /** How much of the windows it takes up: its padding counts too. */
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
  | { readonly type: "ping_ack" }
  | {
    readonly type: "goaway";
    readonly lastStreamId: number;
    readonly code: number;
    readonly debugData: Uint8Array;
  }
  | { readonly type: "window_update"; readonly streamId: number; readonly increment: number }
  | { readonly type: "priority"; readonly streamId: number; readonly bytes: number }
  /** Of a type that this client has no use for. */
  | { readonly type: "ignored"; readonly bytes: number };

/** What a client sends first (RFC 9113, section 3.4). */
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** Collects the bytes that a client sends, until they are taken to be written at once. */
export class FrameEncoder {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #length = 0;

  /** Bytes that wait to be taken. */
  get length(): number {
    return this.#length;
  }

  /** @returns all bytes since the last call; the caller owns them */
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
    this.#header(FrameType.SETTINGS, 0, 0, values.length * SETTING_BYTES);
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
    let type: number = FrameType.HEADERS;
    let at = 0;
    do {
      const end = Math.min(block.length, at + maxFrameBytes);
      this.#header(type, end === block.length ? FrameFlag.END_HEADERS : 0, streamId, end - at);
      this.#append(end - at === block.length ? block : block.subarray(at, end));
      type = FrameType.CONTINUATION;
      at = end;
    } while (at < block.length);
  }

  /** DATA, of no more bytes than the windows and SETTINGS_MAX_FRAME_SIZE allow. */
  data(streamId: number, payload: Uint8Array, endStream: boolean): void {
    this.#header(FrameType.DATA, endStream ? FrameFlag.END_STREAM : 0, streamId, payload.length);
    this.#append(payload);
  }

  rstStream(streamId: number, code: number): void {
    this.#header(FrameType.RST_STREAM, 0, streamId, 4);
    this.#uint32(code);
  }

  settingsAck(): void {
    this.#header(FrameType.SETTINGS, FrameFlag.ACK, 0, 0);
  }

  /** @param data 8 bytes */
  ping(data: Uint8Array): void {
    this.#header(FrameType.PING, 0, 0, data.length);
    this.#append(data);
  }

  /** @param data the 8 bytes of the PING that is answered */
  pingAck(data: Uint8Array): void {
    this.#header(FrameType.PING, FrameFlag.ACK, 0, data.length);
    this.#append(data);
  }

  /** GOAWAY; a client has no streams of the server to name. */
  goaway(code: number): void {
    this.#header(FrameType.GOAWAY, 0, 0, 8);
    this.#uint32(0);
    this.#uint32(code);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#header(FrameType.WINDOW_UPDATE, 0, streamId, 4);
    this.#uint32(increment);
  }

  #header(type: number, flags: number, streamId: number, length: number): void {
    this.#reserve(FRAME_HEADER_BYTES + length);
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
    // Mostly it is one call: the preface, SETTINGS and a request fit into 512 bytes.
    const larger = new Uint8Array(Math.max(512, needed, this.#length * 2));
    if (this.#length > 0) larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
