/** HTTP/2 frames (RFC 9113) and gRPC messages made by hand, so that they can be wrong. */

/** RFC 9113, section 6. */
export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

export const FrameFlag = {
  ACK: 1,
  END_STREAM: 1,
  END_HEADERS: 4,
  PADDED: 8,
  PRIORITY: 0x20,
} as const;

/** RFC 9113, section 6.5.2. */
export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

/** RFC 9113, section 7. */
export const ErrorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  ENHANCE_YOUR_CALM: 11,
} as const;

/** The highest stream number: in a GOAWAY, "what is under way will still be answered". */
export const MAX_STREAM_ID = 2 ** 31 - 1;

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

/** SETTINGS by the names of {@linkcode Setting}, or by number for one that nobody knows. */
export type Settings = Partial<Record<keyof typeof Setting | number, number>>;

/** SETTINGS; with nothing in it unless something is given. */
export function settings(values: Settings = {}): Uint8Array {
  const entries = Object.entries(values).map(([name, value]) => {
    const id = Setting[name as keyof typeof Setting] ?? Number(name);
    return concat(new Uint8Array([id >> 8, id & 0xff]), uint32(value ?? 0));
  });
  return frame(FrameType.SETTINGS, 0, 0, concat(...entries));
}

/** Reads a payload of SETTINGS: the last value of each number counts. */
export function readSettings(payload: Uint8Array): Map<number, number> {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const values = new Map<number, number>();
  for (let at = 0; at + 6 <= payload.length; at += 6) {
    values.set(view.getUint16(at), view.getUint32(at + 2));
  }
  return values;
}

/** PING. */
export function ping(opaque: Uint8Array = new Uint8Array(8)): Uint8Array {
  return frame(FrameType.PING, 0, 0, opaque);
}

/** WINDOW_UPDATE; stream 0 is the connection. */
export function windowUpdate(streamId: number, increment: number): Uint8Array {
  return frame(FrameType.WINDOW_UPDATE, 0, streamId, uint32(increment));
}

/** PRIORITY, which RFC 9113 has deprecated and servers may still send. */
export function priority(streamId: number): Uint8Array {
  return frame(FrameType.PRIORITY, 0, streamId, concat(uint32(0), new Uint8Array([15])));
}

/** GOAWAY; code 0 is NO_ERROR. */
export function goaway(lastStreamId: number, code = 0): Uint8Array {
  return frame(FrameType.GOAWAY, 0, 0, concat(uint32(lastStreamId), uint32(code)));
}

/** RST_STREAM. */
export function resetStream(streamId: number, code: number): Uint8Array {
  return frame(FrameType.RST_STREAM, 0, streamId, uint32(code));
}

/** Header fields: a record, or pairs where a name comes twice. */
export type Fields = Record<string, string> | readonly (readonly [name: string, value: string])[];

/** A header block with every field as an HPACK literal without indexing and without Huffman coding. */
export function headerBlock(fields: Fields): Uint8Array {
  const pairs = Array.isArray(fields) ? fields : Object.entries(fields);
  return concat(
    ...pairs.flatMap(([name, value]) => [
      new Uint8Array([0]),
      hpackString(name),
      hpackString(value),
    ]),
  );
}

/** HEADERS with such a block. */
export function headers(
  streamId: number,
  fields: Fields,
  options: { endStream?: boolean } = {},
): Uint8Array {
  const flags = FrameFlag.END_HEADERS | (options.endStream ? FrameFlag.END_STREAM : 0);
  return frame(FrameType.HEADERS, flags, streamId, headerBlock(fields));
}

/** HEADERS and CONTINUATIONs that carry a block of `parts.length` pieces. */
export function headersInParts(
  streamId: number,
  parts: readonly Uint8Array[],
  options: { endStream?: boolean } = {},
): Uint8Array {
  const endStream = options.endStream ? FrameFlag.END_STREAM : 0;
  return concat(...parts.map((part, index) => {
    const end = index === parts.length - 1 ? FrameFlag.END_HEADERS : 0;
    return index === 0
      ? frame(FrameType.HEADERS, end | endStream, streamId, part)
      : frame(FrameType.CONTINUATION, end, streamId, part);
  }));
}

/** A string of up to 16 KiB, with its length as an integer of a 7-bit prefix (RFC 7541, section 5.1). */
function hpackString(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length < 127) return concat(new Uint8Array([bytes.length]), bytes);
  const rest = bytes.length - 127;
  if (rest > 0x3fff) throw new RangeError("Only header fields of up to 16 KiB are encoded here");
  return concat(new Uint8Array([127, rest & 0x7f | 0x80, rest >> 7]), bytes);
}

/** Puts so many bytes of padding into a DATA or HEADERS frame (RFC 9113, section 6.1). */
export function padded(whole: Uint8Array, padding: number): Uint8Array {
  const [type = 0, flags = 0] = whole.subarray(3);
  const streamId = new DataView(whole.buffer, whole.byteOffset).getUint32(5);
  const payload = concat(new Uint8Array([padding]), whole.subarray(9), new Uint8Array(padding));
  return frame(type, flags | FrameFlag.PADDED, streamId, payload);
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

/** Whether a frame acknowledges SETTINGS or a PING. */
export function isAcknowledgement({ type, flags }: Frame): boolean {
  const canBe = type === FrameType.SETTINGS || type === FrameType.PING;
  return canBe && (flags & FrameFlag.ACK) !== 0;
}

/** What acknowledges a frame; undefined where nothing has to. */
export function acknowledgementOf(received: Frame): Uint8Array | undefined {
  const { type, payload } = received;
  if (isAcknowledgement(received)) return undefined;
  if (type === FrameType.SETTINGS) return frame(FrameType.SETTINGS, FrameFlag.ACK, 0);
  if (type === FrameType.PING) return frame(FrameType.PING, FrameFlag.ACK, 0, payload);
  return undefined;
}

/** Whether its stream ends with a frame. */
export function endsStream({ type, flags }: Frame): boolean {
  return (type === FrameType.HEADERS || type === FrameType.DATA) &&
    (flags & FrameFlag.END_STREAM) !== 0;
}

/** Cuts a byte stream into frames. */
export class FrameReader {
  #rest: Uint8Array = new Uint8Array();

  /** Takes what came and gives the frames that are complete. */
  push(bytes: Uint8Array): Frame[] {
    const all = concat(this.#rest, bytes);
    const view = new DataView(all.buffer);
    const frames: Frame[] = [];
    let at = 0;
    while (all.length - at >= 9) {
      const end = at + 9 + (view.getUint32(at) >>> 8);
      if (end > all.length) break;
      frames.push({
        type: view.getUint8(at + 3),
        flags: view.getUint8(at + 4),
        streamId: view.getUint32(at + 5) & 0x7fffffff,
        payload: all.slice(at + 9, end),
      });
      at = end;
    }
    this.#rest = all.subarray(at);
    return frames;
  }
}
