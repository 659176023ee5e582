import {
  ConnectionError,
  DEFAULT_MAX_FRAME_BYTES,
  DEFAULT_WINDOW,
  ErrorCode,
  FRAME_HEADER_BYTES,
  FrameFlag,
  FrameType,
  MAX_WINDOW,
  Setting,
  SHOWN_BYTES,
  shownText,
} from "./frame.ts";
import { SIZE_UPDATE_TO_ZERO } from "./hpack.ts";

/**
 * Checks that the first bytes of a server are those of HTTP/2: SETTINGS (RFC 9113, section 3.4), or GOAWAY from
 * servers that are about to end (HAProxy 1.8 at a reload, Kestrel).
 */
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
    if (!beginsLikeHttp2(joined)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, describe(joined));
    }
    this.#arrived = joined.length >= FRAME_HEADER_BYTES;
  }
}

/** The highest bit of a stream's id is reserved and ignored (RFC 9113, section 4.1). */
const RESERVED_BIT = 0x80;

function beginsLikeHttp2(bytes: Uint8Array): boolean {
  const [, , , type = FrameType.SETTINGS, flags = 0, first = 0, ...rest] = bytes;
  const isSettings = type === FrameType.SETTINGS && (flags & FrameFlag.ACK) === 0;
  return (isSettings || type === FrameType.GOAWAY) && (first & ~RESERVED_BIT) === 0 &&
    rest.slice(0, 3).every((byte) => byte === 0);
}

function describe(bytes: Uint8Array): string {
  // A TLS alert, with which a TLS server answers plaintext.
  if (bytes[0] === 0x15 && bytes[1] === 0x03) {
    return "The peer speaks TLS: the line should say ssl";
  }
  return `The peer does not speak HTTP/2: it sent ${shownText(bytes)}`;
}

/** Streams at once on one connection, even if the server allows more: RFC 9113 advises servers to allow 100. */
const MAX_STREAMS = 100;

/** How many streams are opened before the server's SETTINGS have said how many it allows. */
const STREAMS_BEFORE_SETTINGS = 1;

/** The size of HPACK's dynamic table unless it is changed (RFC 9113, section 6.5.2). */
const DEFAULT_HEADER_TABLE_BYTES = 4096;

/** The greatest value of SETTINGS_MAX_FRAME_SIZE. */
const GREATEST_MAX_FRAME_BYTES = 0xff_ffff;

/** The server's SETTINGS (RFC 9113, section 6.5.2), with the default of what it has not set. */
export class PeerSettings {
  /** Whether any have come. */
  arrived = false;
  maxFrameBytes = DEFAULT_MAX_FRAME_BYTES;
  initialWindow = DEFAULT_WINDOW;
  #maxHeaderListBytes = Infinity;
  /** The server has announced a smaller HPACK table: the next header block must begin with a size update. */
  #owesSizeUpdate = false;
  #maxStreams: number | undefined;

  /** How many streams may be open at once. */
  get maxStreams(): number {
    if (!this.arrived) return STREAMS_BEFORE_SETTINGS;
    return Math.min(this.#maxStreams ?? MAX_STREAMS, MAX_STREAMS);
  }

  /**
   * Takes the values of one SETTINGS frame, in their order.
   *
   * @throws {ConnectionError} for a value that is not allowed
   */
  apply(values: readonly (readonly [id: number, value: number])[]): void {
    for (const [id, value] of values) this.#apply(id, value);
    this.arrived = true;
  }

  /**
   * @param block a header block to be sent
   * @returns the block; once after the server has announced a smaller table, with a size update before it, which is
   * needed although the agent does not use the table (RFC 9113, section 4.3.1)
   */
  withSizeUpdate(block: Uint8Array): Uint8Array {
    if (!this.#owesSizeUpdate) return block;
    this.#owesSizeUpdate = false;
    const updated = new Uint8Array(1 + block.length);
    updated[0] = SIZE_UPDATE_TO_ZERO;
    updated.set(block, 1);
    return updated;
  }

  /** @returns why the server takes no request with so long a list of headers, if it takes none */
  headersMistake(headerListBytes: number): string | undefined {
    if (headerListBytes <= this.#maxHeaderListBytes) return undefined;
    return `The request's headers have ${headerListBytes} bytes, and the server takes ` +
      `${this.#maxHeaderListBytes} (SETTINGS_MAX_HEADER_LIST_SIZE): is there too much [metadata]?`;
  }

  #apply(id: number, value: number): void {
    switch (id) {
      case Setting.HEADER_TABLE_SIZE:
        this.#owesSizeUpdate ||= value < DEFAULT_HEADER_TABLE_BYTES;
        return;
      case Setting.ENABLE_PUSH:
        // RFC 9113 forbids servers to send 1, but it does no harm, and HAProxy takes it too.
        if (value > 1) throw notAllowed("SETTINGS_ENABLE_PUSH", value);
        return;
      case Setting.MAX_CONCURRENT_STREAMS:
        this.#maxStreams = value;
        return;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW) {
          throw notAllowed("SETTINGS_INITIAL_WINDOW_SIZE", value, ErrorCode.FLOW_CONTROL_ERROR);
        }
        this.initialWindow = value;
        return;
      case Setting.MAX_FRAME_SIZE:
        if (value < DEFAULT_MAX_FRAME_BYTES || value > GREATEST_MAX_FRAME_BYTES) {
          throw notAllowed("SETTINGS_MAX_FRAME_SIZE", value);
        }
        this.maxFrameBytes = value;
        return;
      case Setting.MAX_HEADER_LIST_SIZE:
        this.#maxHeaderListBytes = value;
        return;
    }
  }
}

function notAllowed(
  name: string,
  value: number,
  code: number = ErrorCode.PROTOCOL_ERROR,
): ConnectionError {
  return new ConnectionError(code, `${name} of ${value}`);
}
