import { errorName } from "../../../src/http2/frame.ts";
import { Session } from "../../../src/http2/session.ts";
import type { StreamEnd, StreamOwner, StreamRequest } from "../../../src/http2/stream.ts";
import { concat, type Frame, frame, FrameReader, PREFACE } from "../backends/http2/frames.ts";
import { HpackEncoder } from "../backends/http2/hpack_encoder.ts";

/** A field as a server sends it. */
export type Field = readonly [name: string, value: string];

/** A header block whose fields depend on no table; names and values hold one character per byte. */
export function block(...fields: readonly Field[]): Uint8Array {
  const encoder = new HpackEncoder();
  return Uint8Array.from(
    fields.flatMap(([name, value]) =>
      encoder.field({ name, value, literal: "without", indexed: false, huffman: false })
    ),
  );
}

/** HEADERS of any fields, in their order. */
export function fieldsFrame(
  streamId: number,
  fields: readonly Field[],
  { endStream = false }: { readonly endStream?: boolean } = {},
): Uint8Array {
  return frame(1, 4 | (endStream ? 1 : 0), streamId, block(...fields));
}

/** SETTINGS with these values. */
export function settingsOf(
  ...values: readonly (readonly [id: number, value: number])[]
): Uint8Array {
  const payload = new DataView(new ArrayBuffer(values.length * 6));
  values.forEach(([id, value], index) => {
    payload.setUint16(index * 6, id);
    payload.setUint32(index * 6 + 2, value);
  });
  return frame(4, 0, 0, new Uint8Array(payload.buffer));
}

/** A session that a test plays the server of. */
export class ScriptedSession {
  readonly session = new Session();
  /** How streams ended, in the order in which they did. */
  readonly ends: [id: number, StreamEnd][] = [];
  /** The clock of the session, in milliseconds. */
  now = 0;
  readonly #reader = new FrameReader();
  #prefaceBytes = PREFACE.length;
  #nextId = 1;

  /** Begins a request: a block of 3 bytes and a body of 7, unless said otherwise. */
  open(
    request: Partial<StreamRequest & StreamOwner & { readonly headerBlock: Uint8Array }> = {},
  ): number {
    const id = this.#nextId;
    this.#nextId += 2;
    const {
      headerBlock = Uint8Array.of(0x83, 0x86, 0x84),
      onEnd = (end: StreamEnd) => this.ends.push([id, copyOf(end)]),
      ...content
    } = request;
    const opened = this.session.open(
      {
        headerListBytes: 200,
        body: new Uint8Array(7),
        isDecided: (status) => status !== 200,
        ...content,
      },
      headerBlock,
      { onEnd },
    );
    if (opened !== id) throw new Error(`Stream ${opened} came instead of ${id}`);
    return id;
  }

  /** Gives it what the server sends, in one read. */
  receive(...frames: readonly Uint8Array[]): this {
    this.session.receive(concat(...frames), this.now);
    return this;
  }

  /** Takes the frames that it has sent since the last time, checking the preface. */
  sentFrames(): Frame[] {
    const output = this.session.takeOutput();
    const start = PREFACE.length - this.#prefaceBytes;
    const preface = output.subarray(0, this.#prefaceBytes);
    if (preface.some((byte, index) => byte !== PREFACE[start + index])) {
      throw new Error("The preface is wrong");
    }
    this.#prefaceBytes -= preface.length;
    return this.#reader.push(output.subarray(preface.length));
  }

  /** Takes what it has sent since the last time, each frame as a few words. */
  sent(): string[] {
    return this.sentFrames().map(describeFrame);
  }

  /** How its streams have ended, each in a few words. */
  get outcome(): string[] {
    return this.ends.map(([id, end]) => `${id}: ${describeEnd(end)}`);
  }
}

function copyOf(end: StreamEnd): StreamEnd {
  return structuredClone(end);
}

/** The end of a stream in a few words. */
function describeEnd(end: StreamEnd): string {
  switch (end.kind) {
    case "response": {
      const { status, headers, body, truncated, trailers } = end.response;
      const shown = (fields: readonly Field[]) => fields.map((field) => field.join("=")).join(" ");
      return [
        `${status}`,
        shown(headers.slice(1)),
        body.length > 20 ? `${body.length} bytes` : `[${body.join(" ")}]`,
        truncated ? "truncated" : shown(trailers),
      ].filter((part) => part !== "").join(", ");
    }
    case "reset":
      return `reset ${errorName(end.code)}`;
    case "lost":
      return `lost${end.begun ? " in the middle" : ""}: ${end.reason}`;
    default:
      return `${end.kind}: ${end.reason}`;
  }
}

/** A frame in a few words. */
export function describeFrame({ type, flags, streamId, payload }: Frame): string {
  const uint32 = (at: number) => new DataView(payload.buffer, payload.byteOffset).getUint32(at);
  switch (type) {
    case 0:
      return `DATA ${streamId} ${payload.length}${(flags & 1) === 0 ? "" : " end"}`;
    case 1:
      return `HEADERS ${streamId}${(flags & 4) === 0 ? " to be continued" : ""}`;
    case 3:
      return `RST_STREAM ${streamId} ${errorName(uint32(0))}`;
    case 4:
      return (flags & 1) === 0 ? "SETTINGS" : "SETTINGS ACK";
    case 6:
      return (flags & 1) === 0 ? "PING" : `PING ACK ${payload.join(" ")}`;
    case 7:
      return `GOAWAY ${errorName(uint32(4))}`;
    case 8:
      return `WINDOW_UPDATE ${streamId} ${uint32(0)}`;
    case 9:
      return `CONTINUATION ${streamId}${(flags & 4) === 0 ? " to be continued" : ""}`;
    default:
      return `frame of type ${type}`;
  }
}
