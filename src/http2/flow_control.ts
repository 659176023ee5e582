import {
  ConnectionError,
  DEFAULT_WINDOW,
  ErrorCode,
  type FrameEncoder,
  MAX_WINDOW,
  StreamError,
} from "./frame.ts";
import type { Stream, Streams } from "./stream.ts";

/** The longest body of a request. While the connection's window is smaller, no request begins. */
const MAX_REQUEST_BYTES = 512;

/** How many bytes are given back at once: a WINDOW_UPDATE for each DATA would cost too much. */
const CREDIT_BYTES = DEFAULT_WINDOW / 2;

/**
 * Flow control of one session and its streams (RFC 9113, section 5.2): sends no more of the requests' bodies than the
 * server's windows allow, and gives the server back what its answers have used of the agent's windows.
 */
export class FlowControl {
  readonly #output: FrameEncoder;
  #sendWindow = DEFAULT_WINDOW;
  /** How many bytes of DATA have come that are not given back to the server by a WINDOW_UPDATE. */
  #uncredited = 0;

  constructor(output: FrameEncoder) {
    this.#output = output;
  }

  /** Whether there is room for the body of another request. */
  get hasRoom(): boolean {
    return this.#sendWindow >= MAX_REQUEST_BYTES;
  }

  /** WINDOW_UPDATE of the connection. */
  widen(increment: number): void {
    if (increment === 0) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0 bytes");
    }
    this.#sendWindow += increment;
    if (this.#sendWindow > MAX_WINDOW) throw windowOverflow();
  }

  /** WINDOW_UPDATE of a stream. */
  widenStream(stream: Stream, increment: number): void {
    if (increment === 0) throw new StreamError("WINDOW_UPDATE of 0 bytes");
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW) {
      throw new StreamError("a window overflows", ErrorCode.FLOW_CONTROL_ERROR);
    }
  }

  /** SETTINGS_INITIAL_WINDOW_SIZE has changed by so many bytes, which holds for open streams too. */
  changeInitialWindow(streams: Streams, change: number): void {
    for (const stream of streams) {
      stream.sendWindow += change; // may become negative (RFC 9113, section 6.9.2)
      if (stream.sendWindow > MAX_WINDOW) throw windowOverflow();
    }
  }

  /** Sends as much of a request's body as the windows allow; its end with the last byte. */
  sendBody(stream: Stream, maxFrameBytes: number): void {
    const { body } = stream.request;
    while (stream.sent < body.length) {
      const room = Math.min(this.#sendWindow, stream.sendWindow, maxFrameBytes);
      if (room <= 0) return;
      const isWhole = stream.sent === 0 && body.length <= room;
      const part = isWhole ? body : body.subarray(stream.sent, stream.sent + room);
      stream.sent += part.length;
      stream.sendWindow -= part.length;
      this.#sendWindow -= part.length;
      this.#output.data(stream.id, part, stream.sent === body.length);
    }
  }

  /** DATA has come, on any stream. */
  credit(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited < CREDIT_BYTES) return;
    this.#output.windowUpdate(0, this.#uncredited);
    this.#uncredited = 0;
  }

  /** DATA has come on a stream that goes on. Bodies are short, but padding uses up the window too. */
  creditStream(stream: Stream, bytes: number): void {
    stream.uncredited += bytes;
    if (stream.uncredited < CREDIT_BYTES) return;
    this.#output.windowUpdate(stream.id, stream.uncredited);
    stream.uncredited = 0;
  }
}

function windowOverflow(): ConnectionError {
  return new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window overflows");
}
