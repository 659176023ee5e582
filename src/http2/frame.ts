/** HTTP/2 frames (RFC 9113, sections 4 to 7): their numbers, and what a client reads of them. */

/** What stands before each frame's payload (RFC 9113, section 4.1), in bytes. */
export const FRAME_HEADER_BYTES = 9;

/** The least that SETTINGS_MAX_FRAME_SIZE can be, and what holds unless it is announced, in bytes. */
export const DEFAULT_MAX_FRAME_BYTES = 16_384;

/** Windows until they are changed (RFC 9113, section 6.9.2), in bytes. */
export const DEFAULT_WINDOW = 65_535;

/** The greatest window and the greatest value of SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, section 6.9.1). */
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
