import { ConnectionError, DEFAULT_WINDOW, ErrorCode } from "./frame.ts";

/**
 * Frames that bring no answer forward (SETTINGS, PING, RST_STREAM, WINDOW_UPDATE, empty DATA, unknown
 * ones) in one second, and how many more for each request of that second: servers measure the bandwidth
 * by a PING with each answer.
 */
const MAX_CONTROL_FRAMES = 500;
const CONTROL_FRAMES_PER_REQUEST = 20;

/** The same for the bytes of frames that may be long. */
const MAX_CONTROL_BYTES = 256 * 1024;
const CONTROL_BYTES_PER_REQUEST = 4096;

/** Bound on DATA for streams given up: no more than the windows allow can be under way when the server hears of it. */
const MAX_UNWANTED_BYTES = 2 * DEFAULT_WINDOW;

/** Bounds what a server may send that brings no answer forward, since it costs time that other checks need. */
export class FloodBounds {
  #second = 0;
  #frames = 0;
  #bytes = 0;
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
    this.#bytes = 0;
    this.#requests = streams;
  }

  countRequest(): void {
    this.#requests++;
  }

  /**
   * @param bytes its content, where that may be long
   * @throws {ConnectionError} when there were too many, or too long ones, in this second
   */
  countControlFrame(bytes = 0): void {
    this.#bytes += bytes;
    const frames = MAX_CONTROL_FRAMES + this.#requests * CONTROL_FRAMES_PER_REQUEST;
    const most = MAX_CONTROL_BYTES + this.#requests * CONTROL_BYTES_PER_REQUEST;
    if (++this.#frames > frames || this.#bytes > most) {
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
