/**
 * The two messages of grpc.health.v1.Health/Check in protobuf's wire format, and the prefix that gRPC puts
 * before each message. https://protobuf.dev/programming-guides/encoding/
 */

/** The length of gRPC's prefix: a byte of flags and the message's length in four bytes. */
export const PREFIX_BYTES = 5;

/** Longest health message that is taken, in bytes. Most have 2. */
export const MAX_MESSAGE_BYTES = 4096;

const SERVING_STATUSES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/** The number of both messages' only field: `service` and `status`. */
const FIELD = 1;

const WIRE_TYPE = { VARINT: 0, I64: 1, LEN: 2, GROUP: 3, END_GROUP: 4, I32: 5 } as const;

/** A varint has 64 bits, seven in each byte. */
const MAX_VARINT_BYTES = 10;

/** A tag has 32 bits, seven in each byte. Protobuf in C++ refuses longer spellings too. */
const MAX_TAG_BYTES = 5;

/** How deep groups may be nested, as in protobuf's own parsers. */
const MAX_NESTING = 100;

/** A message that is no HealthCheckResponse; the text says why. */
export class MessageError extends Error {
  override readonly name = "MessageError";
}

/**
 * @param service at most 253 ASCII characters; empty for the server as a whole
 * @returns a HealthCheckRequest with gRPC's prefix, uncompressed
 */
export function encodeHealthRequest(service: string): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(service);
  const length = varint(name.length);
  const message = name.length === 0 ? [] : [FIELD << 3 | WIRE_TYPE.LEN, ...length, ...name];
  const bytes = new Uint8Array(PREFIX_BYTES + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

/**
 * Reads a HealthCheckResponse. Unknown fields are skipped, the last status counts, and none is UNKNOWN, as
 * proto3 has it.
 *
 * @param message without gRPC's prefix
 * @returns the status by its name, or its number where the proto has no name for it
 * @throws {MessageError}
 */
export function decodeHealthResponse(message: Uint8Array): string {
  const reader = new Reader(message);
  let status = 0;
  while (!reader.atEnd) {
    const { field, wireType } = reader.tag();
    if (field !== FIELD) reader.skip(field, wireType);
    else if (wireType === WIRE_TYPE.VARINT) status = Number(BigInt.asIntN(32, reader.varint()));
    else throw new MessageError(`the status has the wire type ${wireType}`);
  }
  return SERVING_STATUSES[status] ?? `${status}`;
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [value & 0x7f | 0x80, ...varint(value >>> 7)];
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  tag(): { readonly field: number; readonly wireType: number } {
    const start = this.#at;
    const tag = this.varint();
    if (this.#at - start > MAX_TAG_BYTES) throw new MessageError("a tag has too many bytes");
    const field = Number(tag >> 3n);
    if (field === 0 || field > 0x1fff_ffff) {
      throw new MessageError(`a field has the number ${field}`);
    }
    return { field, wireType: Number(tag & 7n) };
  }

  varint(): bigint {
    let value = 0n;
    for (let count = 0; count < MAX_VARINT_BYTES; count++) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw new MessageError("it breaks off in a number");
      this.#at++;
      value |= BigInt(byte & 0x7f) << BigInt(7 * count);
      if (byte < 0x80) {
        if (value >> 64n !== 0n) break;
        return value;
      }
    }
    throw new MessageError("a number has more than 64 bits");
  }

  skip(field: number, wireType: number, depth = 0): void {
    switch (wireType) {
      case WIRE_TYPE.VARINT:
        this.varint();
        return;
      case WIRE_TYPE.I64:
        return this.#advance(8n);
      case WIRE_TYPE.LEN:
        return this.#advance(this.varint());
      case WIRE_TYPE.GROUP:
        return this.#skipGroup(field, depth);
      case WIRE_TYPE.I32:
        return this.#advance(4n);
      default:
        throw new MessageError(`a field has the wire type ${wireType}`);
    }
  }

  #skipGroup(field: number, depth: number): void {
    if (depth >= MAX_NESTING) throw new MessageError("groups are nested too deep");
    while (true) {
      const tag = this.tag();
      if (tag.wireType !== WIRE_TYPE.END_GROUP) this.skip(tag.field, tag.wireType, depth + 1);
      else if (tag.field === field) return;
      else throw new MessageError("a group ends that has not begun");
    }
  }

  #advance(count: bigint): void {
    if (count > BigInt(this.#bytes.length - this.#at)) {
      throw new MessageError("it breaks off in a field");
    }
    this.#at += Number(count);
  }
}
