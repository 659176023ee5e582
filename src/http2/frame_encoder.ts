import { FRAME_HEADER_BYTES, FrameFlag, FrameType } from "./frame.ts";

/** What a client sends first (RFC 9113, section 3.4). */
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** Collects the bytes that a client sends, until they are taken to be written at once. */
export class FrameEncoder {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #length = 0;

  /** Bytes that wait to be taken. */
  get length(): number {
    return this.#length;
  }

  /** @returns all bytes since the last time; the caller owns them */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = new Uint8Array(0);
    this.#length = 0;
    return taken;
  }

  /** The connection preface: the fixed text, and SETTINGS. */
  preface(values: readonly (readonly [id: number, value: number])[]): void {
    this.#reserve(PREFACE.length);
    for (let at = 0; at < PREFACE.length; at++) this.#byte(PREFACE.charCodeAt(at));
    this.#header(FrameType.SETTINGS, 0, 0, values.length * 6);
    for (const [id, value] of values) {
      this.#byte(id >> 8);
      this.#byte(id);
      this.#uint32(value);
    }
  }

  /**
   * HEADERS, with CONTINUATION where the block is longer than a frame may be.
   *
   * @param maxFrameBytes the server's SETTINGS_MAX_FRAME_SIZE
   */
  headers(streamId: number, block: Uint8Array, maxFrameBytes: number): void {
    let type: number = FrameType.HEADERS;
    let at = 0;
    do {
      const end = Math.min(block.length, at + maxFrameBytes);
      this.#header(type, end === block.length ? FrameFlag.END_HEADERS : 0, streamId, end - at);
      this.#append(block.subarray(at, end));
      type = FrameType.CONTINUATION;
      at = end;
    } while (at < block.length);
  }

  /** DATA, of no more bytes than the windows and SETTINGS_MAX_FRAME_SIZE allow. */
  data(streamId: number, payload: Uint8Array, endStream: boolean): void {
    this.#header(FrameType.DATA, endStream ? FrameFlag.END_STREAM : 0, streamId, payload.length);
    this.#append(payload);
  }

  rstStream(streamId: number, code: number): void {
    this.#header(FrameType.RST_STREAM, 0, streamId, 4);
    this.#uint32(code);
  }

  settingsAck(): void {
    this.#header(FrameType.SETTINGS, FrameFlag.ACK, 0, 0);
  }

  /** @param data 8 bytes */
  ping(data: Uint8Array): void {
    this.#header(FrameType.PING, 0, 0, data.length);
    this.#append(data);
  }

  /** @param data the 8 bytes of the PING that is answered */
  pingAck(data: Uint8Array): void {
    this.#header(FrameType.PING, FrameFlag.ACK, 0, data.length);
    this.#append(data);
  }

  /** GOAWAY; a client has no streams of the server to name. */
  goaway(code: number): void {
    this.#header(FrameType.GOAWAY, 0, 0, 8);
    this.#uint32(0);
    this.#uint32(code);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#header(FrameType.WINDOW_UPDATE, 0, streamId, 4);
    this.#uint32(increment);
  }

  #header(type: number, flags: number, streamId: number, length: number): void {
    this.#reserve(FRAME_HEADER_BYTES + length);
    this.#byte(length >> 16);
    this.#byte(length >> 8);
    this.#byte(length);
    this.#byte(type);
    this.#byte(flags);
    this.#uint32(streamId);
  }

  #append(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #uint32(value: number): void {
    this.#byte(value >>> 24);
    this.#byte(value >>> 16);
    this.#byte(value >>> 8);
    this.#byte(value);
  }

  #byte(value: number): void {
    this.#bytes[this.#length++] = value;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    // What is sent is mostly one call: the preface, SETTINGS and a request fit into 512 bytes.
    const larger = new Uint8Array(Math.max(512, needed, this.#length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
