import {
  ConnectionError,
  DEFAULT_MAX_FRAME_BYTES,
  ErrorCode,
  type Frame,
  FRAME_HEADER_BYTES,
  FrameFlag,
  FrameType,
  PRIORITY_BYTES,
  SETTING_BYTES,
} from "./frame.ts";

const NOTHING = new Uint8Array(0);

/**
 * Cuts what a server sends into frames, in whatever pieces it comes, and refuses frames whose length or stream is
 * not allowed for their type.
 */
export class FrameDecoder {
  /** Room for a frame of which only the beginning has come, or for its header. */
  #begun: Uint8Array = NOTHING;
  /** How much of it is filled. */
  #begunLength = 0;

  /**
   * Takes what was read and hands on the frames that are complete.
   *
   * @param onFrame may throw; then this decoder is not to be used any more
   * @throws {ConnectionError} for a frame that no server may send
   */
  push(bytes: Uint8Array, onFrame: (frame: Frame) => void): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#begunLength > 0) {
        at += this.#fill(bytes, at);
        const frame = this.#begunFrame();
        if (frame === undefined) continue;
        this.#begunLength = 0;
        onFrame(frame);
        continue;
      }
      const end = bytes.length - at < FRAME_HEADER_BYTES ? Infinity : at + frameBytes(bytes, at);
      if (end > bytes.length) {
        this.#begin(bytes.subarray(at));
        return;
      }
      const frame = readFrame(bytes, at, end);
      at = end;
      onFrame(frame);
    }
    if (this.#begunLength === 0) this.#begun = NOTHING;
  }

  #begin(bytes: Uint8Array): void {
    const needed = bytes.length < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : frameBytes(bytes, 0);
    this.#begun = new Uint8Array(needed);
    this.#begun.set(bytes);
    this.#begunLength = bytes.length;
  }

  /** @returns how many bytes were taken: no more than the frame's header, or else the whole frame, needs */
  #fill(bytes: Uint8Array, at: number): number {
    const count = Math.min(this.#begun.length - this.#begunLength, bytes.length - at);
    this.#begun.set(bytes.subarray(at, at + count), this.#begunLength);
    this.#begunLength += count;
    return count;
  }

  #begunFrame(): Frame | undefined {
    if (this.#begunLength < this.#begun.length) return undefined;
    const needed = frameBytes(this.#begun, 0);
    if (needed > this.#begunLength) {
      const header = this.#begun;
      this.#begun = new Uint8Array(needed);
      this.#begun.set(header);
      return undefined;
    }
    return readFrame(this.#begun, 0, needed);
  }
}

/** The length of the frame that begins here, with its header. */
function frameBytes(bytes: Uint8Array, at: number): number {
  const length = (byteAt(bytes, at) << 16) | (byteAt(bytes, at + 1) << 8) | byteAt(bytes, at + 2);
  // The agent announces no SETTINGS_MAX_FRAME_SIZE, so the default holds.
  if (length > DEFAULT_MAX_FRAME_BYTES) {
    throw new ConnectionError(
      ErrorCode.FRAME_SIZE_ERROR,
      `a frame of ${length} bytes is longer than the ${DEFAULT_MAX_FRAME_BYTES} allowed`,
    );
  }
  return FRAME_HEADER_BYTES + length;
}

function readFrame(bytes: Uint8Array, at: number, end: number): Frame {
  const type = byteAt(bytes, at + 3);
  const flags = byteAt(bytes, at + 4);
  const streamId = uint32At(bytes, at + 5) & 0x7fff_ffff;
  const payload = bytes.subarray(at + FRAME_HEADER_BYTES, end);
  switch (type) {
    case FrameType.DATA: {
      onStream("DATA", streamId);
      return {
        type: "data",
        streamId,
        data: withoutPadding("DATA", payload, flags),
        endStream: (flags & FrameFlag.END_STREAM) !== 0,
        windowBytes: payload.length,
      };
    }
    case FrameType.HEADERS: {
      onStream("HEADERS", streamId);
      const rest = withoutPadding("HEADERS", payload, flags);
      const priorityBytes = (flags & FrameFlag.PRIORITY) === 0 ? 0 : PRIORITY_BYTES;
      if (rest.length < priorityBytes) throw wrongLength("HEADERS", payload.length);
      return {
        type: "headers",
        streamId,
        fragment: priorityBytes === 0 ? rest : rest.subarray(priorityBytes),
        endStream: (flags & FrameFlag.END_STREAM) !== 0,
        endHeaders: (flags & FrameFlag.END_HEADERS) !== 0,
      };
    }
    case FrameType.CONTINUATION:
      onStream("CONTINUATION", streamId);
      return {
        type: "continuation",
        streamId,
        fragment: payload,
        endHeaders: (flags & FrameFlag.END_HEADERS) !== 0,
      };
    case FrameType.RST_STREAM:
      onStream("RST_STREAM", streamId);
      if (payload.length !== 4) throw wrongLength("RST_STREAM", payload.length);
      return { type: "rst_stream", streamId, code: uint32At(payload, 0) };
    case FrameType.SETTINGS:
      onConnection("SETTINGS", streamId);
      return readSettings(payload, flags);
    case FrameType.PUSH_PROMISE:
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which is switched off");
    case FrameType.PING:
      onConnection("PING", streamId);
      if (payload.length !== 8) throw wrongLength("PING", payload.length);
      return (flags & FrameFlag.ACK) === 0 ? { type: "ping", data: payload } : { type: "ping_ack" };
    case FrameType.GOAWAY:
      onConnection("GOAWAY", streamId);
      if (payload.length < 8) throw wrongLength("GOAWAY", payload.length);
      return {
        type: "goaway",
        lastStreamId: uint32At(payload, 0) & 0x7fff_ffff,
        code: uint32At(payload, 4),
        debugData: payload.subarray(8),
      };
    case FrameType.WINDOW_UPDATE:
      if (payload.length !== 4) throw wrongLength("WINDOW_UPDATE", payload.length);
      return {
        type: "window_update",
        streamId,
        increment: uint32At(payload, 0) & 0x7fff_ffff,
      };
    case FrameType.PRIORITY:
      onStream("PRIORITY", streamId);
      return { type: "priority", streamId, bytes: payload.length };
    default:
      return { type: "ignored", bytes: payload.length };
  }
}

function readSettings(payload: Uint8Array, flags: number): Frame {
  if ((flags & FrameFlag.ACK) !== 0) {
    if (payload.length !== 0) throw wrongLength("SETTINGS", payload.length);
    return { type: "settings_ack" };
  }
  if (payload.length % SETTING_BYTES !== 0) throw wrongLength("SETTINGS", payload.length);
  const values: [number, number][] = [];
  for (let at = 0; at < payload.length; at += SETTING_BYTES) {
    values.push([(byteAt(payload, at) << 8) | byteAt(payload, at + 1), uint32At(payload, at + 2)]);
  }
  return { type: "settings", values };
}

function withoutPadding(name: string, payload: Uint8Array, flags: number): Uint8Array {
  if ((flags & FrameFlag.PADDED) === 0) return payload;
  const padding = payload[0];
  if (padding === undefined) throw wrongLength(name, 0);
  if (padding >= payload.length) {
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${name} with more padding than payload`);
  }
  return payload.subarray(1, payload.length - padding);
}

function onStream(name: string, streamId: number): void {
  if (streamId === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${name} on stream 0`);
}

function onConnection(name: string, streamId: number): void {
  if (streamId !== 0) {
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${name} on stream ${streamId}`);
  }
}

function wrongLength(name: string, length: number): ConnectionError {
  return new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `${name} of ${length} bytes`);
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

function uint32At(bytes: Uint8Array, at: number): number {
  return ((byteAt(bytes, at) << 24) | (byteAt(bytes, at + 1) << 16) |
    (byteAt(bytes, at + 2) << 8) | byteAt(bytes, at + 3)) >>> 0;
}
