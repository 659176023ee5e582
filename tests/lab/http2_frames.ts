/** HTTP/2 frames (RFC 9113) and gRPC messages made by hand, so that they can be wrong. */

export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
} as const;

export const FrameFlag = { ACK: 1, END_STREAM: 1, END_HEADERS: 4 } as const;

/** What a client sends before its first frame. */
export const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** A frame as it was read. */
export interface Frame {
  type: number;
  flags: number;
  streamId: number;
  payload: Uint8Array;
}

/** Joins byte sequences. */
export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** One frame; its length is that of the payload. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = new Uint8Array(),
): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array([...uint32(payload.length).subarray(1), type, flags]);
  return concat(head, uint32(streamId), payload);
}

/** SETTINGS with nothing in it. */
export function settings(): Uint8Array {
  return frame(FrameType.SETTINGS, 0, 0);
}

/** GOAWAY; code 0 is NO_ERROR. */
export function goaway(lastStreamId: number, code = 0): Uint8Array {
  return frame(FrameType.GOAWAY, 0, 0, concat(uint32(lastStreamId), uint32(code)));
}

/** RST_STREAM. */
export function resetStream(streamId: number, code: number): Uint8Array {
  return frame(FrameType.RST_STREAM, 0, streamId, uint32(code));
}

/** HEADERS with every field as an HPACK literal without indexing and without Huffman coding. */
export function headers(
  streamId: number,
  fields: Record<string, string>,
  options: { endStream?: boolean } = {},
): Uint8Array {
  const flags = FrameFlag.END_HEADERS | (options.endStream ? FrameFlag.END_STREAM : 0);
  const encoded = Object.entries(fields).flatMap((
    [name, value],
  ) => [new Uint8Array([0]), hpackString(name), hpackString(value)]);
  return frame(FrameType.HEADERS, flags, streamId, concat(...encoded));
}

function hpackString(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > 126) throw new RangeError("Only short header fields are encoded here");
  return concat(new Uint8Array([bytes.length]), bytes);
}

/** DATA. */
export function data(
  streamId: number,
  payload: Uint8Array,
  options: { endStream?: boolean } = {},
): Uint8Array {
  return frame(FrameType.DATA, options.endStream ? FrameFlag.END_STREAM : 0, streamId, payload);
}

/**
 * A gRPC message with its prefix.
 *
 * @param length what the prefix says; the true length unless a test wants it wrong
 */
export function grpcMessage(payload: Uint8Array, length = payload.length): Uint8Array {
  return concat(new Uint8Array([0]), uint32(length), payload);
}

/** A HealthCheckResponse, for statuses of one to two bytes. */
export function healthResponse(status: number): Uint8Array {
  if (status > 0x3fff) throw new RangeError("Only statuses up to 16383 are encoded here");
  const varint = status > 0x7f ? [status & 0x7f | 0x80, status >> 7] : [status];
  return new Uint8Array([0x08, ...varint]);
}

/** Cuts a byte stream into frames. */
export class FrameReader {
  #rest: Uint8Array = new Uint8Array();

  /** Takes what came and gives the frames that are complete. */
  push(bytes: Uint8Array): Frame[] {
    this.#rest = concat(this.#rest, bytes);
    const frames: Frame[] = [];
    while (this.#rest.length >= 9) {
      const view = new DataView(this.#rest.buffer, this.#rest.byteOffset);
      const length = view.getUint32(0) >>> 8;
      if (this.#rest.length < 9 + length) break;
      frames.push({
        type: view.getUint8(3),
        flags: view.getUint8(4),
        streamId: view.getUint32(5) & 0x7fffffff,
        payload: this.#rest.slice(9, 9 + length),
      });
      this.#rest = this.#rest.slice(9 + length);
    }
    return frames;
  }
}
