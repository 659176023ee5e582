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

/** What a stream has got so far. */
export type Answer =
  | { readonly kind: "none"; readonly informational: number }
  | {
    readonly kind: "headers";
    readonly status: number;
    readonly fields: readonly HeaderField[];
    readonly body: Uint8Array;
  };

/** A request that is under way. */
export interface Stream {
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
