import { ConnectionError, DEFAULT_WINDOW, ErrorCode } from "./frame.ts";

/**
 * Frames that bring no answer forward (SETTINGS, PING, RST_STREAM, WINDOW_UPDATE, empty DATA, unknown
 * ones) in one second, and how many more for each request of that second: servers measure the bandwidth
 * by a PING with each answer.
 */
const MAX_CONTROL_FRAMES = 500;
const CONTROL_FRAMES_PER_REQUEST = 20;

/** DATA of streams given up: what was under way when the server heard of it is no more than its windows. */
const MAX_UNWANTED_BYTES = 2 * DEFAULT_WINDOW;

/** Bounds what a server may send that brings no answer forward: it costs time that other checks need. */
export class FloodBounds {
  #second = 0;
  #frames = 0;
  #requests = 0;
  #unwantedBytes = 0;

  /**
   * Something has been read.
   *
   * @param now a clock in milliseconds that never goes back
   * @param streams requests under way
   */
  receive(now: number, streams: number): void {
    const second = Math.floor(now / 1000);
    if (second === this.#second) return;
    this.#second = second;
    this.#frames = 0;
    this.#requests = streams;
  }

  countRequest(): void {
    this.#requests++;
  }

  /** @throws {ConnectionError} when there were too many in this second */
  countControlFrame(): void {
    const allowed = MAX_CONTROL_FRAMES + this.#requests * CONTROL_FRAMES_PER_REQUEST;
    if (++this.#frames > allowed) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "it sends frames without end");
    }
  }

  /**
   * Counts DATA of a stream that was given up.
   *
   * @throws {ConnectionError} when there was too much of it since the last answer
   */
  countUnwanted(bytes: number): void {
    this.countControlFrame();
    this.#unwantedBytes += bytes;
    if (this.#unwantedBytes > MAX_UNWANTED_BYTES) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "it sends DATA without end");
    }
  }

  countAnswer(): void {
    this.#unwantedBytes = 0;
  }
}
