import {
  ConnectionError,
  DEFAULT_MAX_FRAME_BYTES,
  DEFAULT_WINDOW,
  ErrorCode,
  MAX_WINDOW,
  Setting,
} from "./frame.ts";

/** Streams at once on one connection, whatever the server allows: RFC 9113 advises servers to allow 100. */
const MAX_STREAMS = 100;

/** Until the server's SETTINGS have come nobody knows how many streams it allows. */
const STREAMS_BEFORE_SETTINGS = 1;

/** The size of HPACK's dynamic table unless it is changed (RFC 9113, section 6.5.2). */
const DEFAULT_HEADER_TABLE_BYTES = 4096;

/** The greatest value of SETTINGS_MAX_FRAME_SIZE. */
const GREATEST_MAX_FRAME_BYTES = 0xff_ffff;

/** What the server has said in SETTINGS (RFC 9113, section 6.5.2); what it has not has its default. */
export class PeerSettings {
  /** Whether any have come. */
  arrived = false;
  maxFrameBytes = DEFAULT_MAX_FRAME_BYTES;
  maxHeaderListBytes = Infinity;
  initialWindow = DEFAULT_WINDOW;
  /** Its table is smaller than the standard one, which the next header block must acknowledge. */
  owesSizeUpdate = false;
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

  #apply(id: number, value: number): void {
    switch (id) {
      case Setting.HEADER_TABLE_SIZE:
        this.owesSizeUpdate ||= value < DEFAULT_HEADER_TABLE_BYTES;
        return;
      case Setting.ENABLE_PUSH:
        // 1 means nothing from a server; HAProxy takes it too.
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
        this.maxHeaderListBytes = value;
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
