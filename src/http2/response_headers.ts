import { ConnectionError, ErrorCode, type Frame, StreamError } from "./frame.ts";
import { type HeaderField, HpackDecoder } from "./hpack.ts";
import { HpackError } from "./hpack_reader.ts";

/** Longest list of header fields, decoded. An answer to a health check has some hundred bytes of them. */
export const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Longest header block, encoded. It is larger than {@linkcode MAX_HEADER_BYTES}, so that a list that is too long is
 * still decoded and ends only its own stream.
 */
const MAX_BLOCK_BYTES = 4 * MAX_HEADER_BYTES;

/** CONTINUATION frames of one block; a flood of empty ones costs the receiver only (CVE-2024-27316). */
const MAX_CONTINUATIONS = 32;

/** A header block, or as much of it as has come. */
interface HeaderBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly bytes: Uint8Array;
}

/** The fields of an answer, or of its trailers. */
export interface ResponseHeaders {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly fields: readonly HeaderField[];
}

/**
 * Joins HEADERS and the CONTINUATION frames that follow (RFC 9113, section 4.3), and decodes them. All header blocks
 * of a connection must come here, those of streams given up too: HPACK's dynamic table is that of the connection.
 */
export class ResponseHeadersReader {
  readonly #hpack = new HpackDecoder(MAX_HEADER_BYTES);
  #open: HeaderBlock | undefined;
  #continuations = 0;

  /** @throws {ConnectionError} for a frame that interrupts a header block */
  checkSequence(frame: Frame): void {
    const open = this.#open;
    if (open === undefined) return;
    if (frame.type !== "continuation" || frame.streamId !== open.streamId) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted");
    }
  }

  /**
   * @returns the fields, once their block is whole
   * @throws {ConnectionError} for a block without end, or one that cannot be decoded
   * @throws {StreamError} for more fields than allowed
   */
  add(frame: Extract<Frame, { type: "headers" | "continuation" }>): ResponseHeaders | undefined {
    const block = frame.type === "headers"
      ? { streamId: frame.streamId, endStream: frame.endStream, bytes: frame.fragment }
      : this.#continued(frame.fragment);
    if (frame.endHeaders) {
      this.#open = undefined;
      const { streamId, endStream, bytes } = block;
      return { streamId, endStream, fields: this.#decode(bytes) };
    }
    if (frame.type === "headers") this.#continuations = 0;
    this.#open = { ...block, bytes: block.bytes.slice() };
    return undefined;
  }

  #decode(block: Uint8Array): readonly HeaderField[] {
    let fields;
    try {
      fields = this.#hpack.decode(block);
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      throw new ConnectionError(
        ErrorCode.COMPRESSION_ERROR,
        `its header fields cannot be decoded: ${error.message}`,
      );
    }
    if (fields !== undefined) return fields;
    const reason = `header fields of more than the ${MAX_HEADER_BYTES} bytes allowed`;
    throw new StreamError(reason, ErrorCode.ENHANCE_YOUR_CALM);
  }

  #continued(fragment: Uint8Array): HeaderBlock {
    const open = this.#open;
    if (open === undefined) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS");
    }
    const length = open.bytes.length + fragment.length;
    if (++this.#continuations > MAX_CONTINUATIONS || length > MAX_BLOCK_BYTES) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end");
    }
    const bytes = new Uint8Array(length);
    bytes.set(open.bytes);
    bytes.set(fragment, open.bytes.length);
    return { ...open, bytes };
  }
}

/** Fields of HTTP/1 connections, which HTTP/2 forbids (RFC 9113, section 8.2.2). */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** Fields that must not stand in trailers, since they concern the whole message (RFC 9110, section 6.5.1). */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set(["content-length", "host", "te"]);

/** A token (RFC 9110, section 5.6.2) without upper case. */
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

const FORBIDDEN_IN_VALUE = /[\0\r\n]/;

/**
 * Holds an answer's fields to those rules of RFC 9113 (sections 8.2 and 8.3) by which HAProxy refuses an
 * answer: with such a server no call gets through HAProxy either. Every other field is taken as it is.
 *
 * @param part trailers have no pseudo-header fields
 * @throws {StreamError} that names the field
 */
export function checkFields(
  fields: readonly HeaderField[],
  part: "headers" | "trailers",
): void {
  let regular = part === "trailers";
  let hasStatus = false;
  for (const [name, value] of fields) {
    if (FORBIDDEN_IN_VALUE.test(value)) throw malformed("a forbidden value of", name);
    if (name.startsWith(":")) {
      if (name !== ":status") throw malformed("an unknown", name);
      if (hasStatus) throw malformed("more than one", name);
      if (regular) throw malformed("a misplaced", name);
      hasStatus = true;
      continue;
    }
    regular = true;
    if (!FIELD_NAME.test(name)) throw malformed("a forbidden field name", name);
    if (CONNECTION_FIELDS.has(name)) throw malformed("the HTTP/1 field", name);
    if (part === "trailers" && NOT_IN_TRAILERS.has(name)) {
      throw malformed("in the trailers the field", name);
    }
  }
}

/**
 * @returns the value of `:status`
 * @throws {StreamError} when there is none, or no three digits
 */
export function statusOf(fields: readonly HeaderField[]): number {
  const [first] = fields;
  if (first?.[0] !== ":status") {
    throw new StreamError("there is no :status");
  }
  if (!/^[1-9][0-9][0-9]$/.test(first[1])) {
    throw malformed("a :status that is no three digits:", first[1]);
  }
  return Number(first[1]);
}

/** How many digits of a `content-length` HAProxy reads. */
const CONTENT_LENGTH = /^[0-9]{1,18}$/;

/**
 * @returns how many bytes the body has at most; `Infinity` where that is not said. HAProxy lets an answer with
 * fewer through
 * @throws {StreamError} when it is no number, or said twice in different ways
 */
export function contentLengthOf(fields: readonly HeaderField[]): number {
  let length = Infinity;
  for (const [name, value] of fields) {
    if (name !== "content-length") continue;
    // A list that repeats the same number is allowed (RFC 9110, section 8.6).
    for (const item of value.split(/, */)) {
      if (!CONTENT_LENGTH.test(item)) throw malformed("a content-length of", value);
      if (length !== Infinity && length !== Number(item)) {
        throw malformed("another content-length of", value);
      }
      length = Number(item);
    }
  }
  return length;
}

function malformed(what: string, text: string): StreamError {
  return new StreamError(`${what} ${JSON.stringify(text.slice(0, 100))}`);
}
