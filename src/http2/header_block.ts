import { ConnectionError, ErrorCode, type Frame } from "./frame.ts";

/** Longest header block, encoded and decoded. An answer to a health check has some hundred bytes of them. */
export const MAX_HEADER_BYTES = 16 * 1024;

/** CONTINUATION frames of one block; a flood of empty ones costs the receiver only (CVE-2024-27316). */
const MAX_CONTINUATIONS = 32;

/** A whole header block. */
export interface HeaderBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly bytes: Uint8Array;
}

/** Joins HEADERS and the CONTINUATION frames that follow (RFC 9113, section 4.3). */
export class HeaderBlockJoiner {
  #open: HeaderBlock | undefined;
  #continuations = 0;

  /** @throws {ConnectionError} for a frame that may not stand where it does */
  expects(frame: Frame): void {
    const open = this.#open;
    if (open === undefined) return;
    if (frame.type !== "continuation" || frame.streamId !== open.streamId) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted");
    }
  }

  /** @returns the block, once it is whole */
  add(frame: Extract<Frame, { type: "headers" | "continuation" }>): HeaderBlock | undefined {
    const block = frame.type === "headers"
      ? { streamId: frame.streamId, endStream: frame.endStream, bytes: frame.fragment }
      : this.#continued(frame.fragment);
    if (frame.endHeaders) {
      this.#open = undefined;
      return block;
    }
    if (frame.type === "headers") this.#continuations = 0;
    this.#open = { ...block, bytes: block.bytes.slice() };
    return undefined;
  }

  #continued(fragment: Uint8Array): HeaderBlock {
    const open = this.#open;
    if (open === undefined) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS");
    }
    const length = open.bytes.length + fragment.length;
    if (++this.#continuations > MAX_CONTINUATIONS || length > MAX_HEADER_BYTES) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end");
    }
    const bytes = new Uint8Array(length);
    bytes.set(open.bytes);
    bytes.set(fragment, open.bytes.length);
    return { ...open, bytes };
  }
}
