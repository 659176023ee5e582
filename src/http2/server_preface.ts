import { ConnectionError, ErrorCode, FRAME_HEADER_BYTES, FrameType } from "./frame.ts";

/** How much is shown of what a peer that speaks no HTTP/2 sends, in bytes. */
const SHOWN_BYTES = 40;

/** Holds the first bytes of a server to what HTTP/2 begins with: SETTINGS (RFC 9113, section 3.4). */
export class ServerPreface {
  #bytes = new Uint8Array(0);
  #arrived = false;

  /** Whether the peer has shown that it speaks HTTP/2. */
  get arrived(): boolean {
    return this.#arrived;
  }

  /**
   * Takes what was read, until the preface has arrived.
   *
   * @throws {ConnectionError} that shows what the peer sent instead
   */
  receive(bytes: Uint8Array): void {
    const before = this.#bytes;
    const joined = new Uint8Array(Math.min(SHOWN_BYTES, before.length + bytes.length));
    joined.set(before);
    joined.set(bytes.subarray(0, joined.length - before.length), before.length);
    this.#bytes = joined;
    if (!beginsWithSettings(joined)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, describe(joined));
    }
    this.#arrived = joined.length >= FRAME_HEADER_BYTES;
  }
}

function beginsWithSettings(bytes: Uint8Array): boolean {
  const [, , , type = FrameType.SETTINGS, flags = 0, ...rest] = bytes;
  return type === FrameType.SETTINGS && (flags & 1) === 0 &&
    rest.slice(0, 4).every((byte) => byte === 0);
}

function describe(bytes: Uint8Array): string {
  // A TLS alert: the answer of a TLS server to what is no TLS.
  if (bytes[0] === 0x15 && bytes[1] === 0x03) {
    return "The peer speaks TLS: the line should say ssl";
  }
  const shown = new TextDecoder("latin1").decode(bytes).replace(/[^\x20-\x7e]+/g, ".");
  return `The peer does not speak HTTP/2: it sent ${JSON.stringify(shown)}`;
}
