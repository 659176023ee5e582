import { HpackError, HpackReader } from "./hpack_reader.ts";

/**
 * The static table of HPACK (RFC 7541, appendix A): the field of index 1 first. Fields of the same name
 * follow each other, which the encoder relies on.
 */
export const STATIC_TABLE: readonly (readonly [name: string, value: string])[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
];

/** A header field; name and value hold one character per byte (latin1). */
export type HeaderField = readonly [name: string, value: string];

/** What a field counts for besides its name and value (RFC 7541, section 4.1). */
const FIELD_OVERHEAD = 32;

/** The default of SETTINGS_HEADER_TABLE_SIZE, which this client does not change. */
const MAX_TABLE_BYTES = 4096;

/** A block may begin with the smallest size since the last block and the size in force (RFC 7541, section 4.2). */
const MAX_SIZE_UPDATES = 2;

/**
 * Decodes the header blocks of one connection (RFC 7541). All must come here, in their order, those of streams given
 * up included. Whether HTTP allows the names and values is for the caller to judge.
 */
export class HpackDecoder {
  readonly #maxListBytes: number;
  /** The dynamic table, oldest field first. It takes no room until a field is inserted. */
  readonly #table: HeaderField[] = [];
  #tableBytes = 0;
  #maxTableBytes = MAX_TABLE_BYTES;

  /**
   * @param maxListBytes bound on a decoded list: name and value and 32 bytes for each field
   * (RFC 9113, section 6.5.2)
   */
  constructor(maxListBytes: number) {
    this.#maxListBytes = maxListBytes;
  }

  /**
   * Decodes one header block. A field that it takes whole from a table is the same object each time.
   *
   * @param block a whole header block, its CONTINUATIONs joined; it is not kept
   * @returns the fields; `undefined` if their list is too long, and then later blocks can be decoded as well
   * @throws {HpackError} if the block is malformed. The connection cannot be used any more then, because the
   * rest of the block was not looked at.
   */
  decode(block: Uint8Array): HeaderField[] | undefined {
    const reader = new HpackReader(block);
    this.#readSizeUpdates(reader);
    const fields: HeaderField[] = [];
    let listBytes = 0;
    while (!reader.done) {
      const field = this.#readField(reader);
      listBytes += sizeOf(field);
      // Even what is not kept may change the dynamic table.
      if (listBytes <= this.#maxListBytes) fields.push(field);
    }
    return listBytes <= this.#maxListBytes ? fields : undefined;
  }

  /** The representations of RFC 7541, section 6, told apart by the first bits. */
  #readField(reader: HpackReader): HeaderField {
    const first = reader.next;
    if (first >= 0x80) return this.#fieldAt(reader.integer(7));
    if (first >= 0x40) {
      const field = this.#readLiteral(reader, 6);
      this.#insert(field);
      return field;
    }
    if (first >= 0x20) throw new HpackError("a table size update comes after a field");
    return this.#readLiteral(reader, 4);
  }

  #readLiteral(reader: HpackReader, prefixBits: number): HeaderField {
    const nameIndex = reader.integer(prefixBits);
    const name = nameIndex === 0 ? reader.string() : this.#fieldAt(nameIndex)[0];
    return [name, reader.string()];
  }

  #readSizeUpdates(reader: HpackReader): void {
    for (let nth = 1; (reader.next & 0xe0) === 0x20; nth++) {
      if (nth > MAX_SIZE_UPDATES) {
        throw new HpackError(`the header block has more than ${MAX_SIZE_UPDATES} size updates`);
      }
      const maxBytes = reader.integer(5);
      if (maxBytes > MAX_TABLE_BYTES) {
        throw new HpackError(`a table size update to ${maxBytes} is above ${MAX_TABLE_BYTES}`);
      }
      this.#maxTableBytes = maxBytes;
      this.#evictTo(maxBytes);
    }
  }

  /** The static table from 1, then the dynamic one, newest field first (RFC 7541, 2.3.3). */
  #fieldAt(index: number): HeaderField {
    const field = index <= STATIC_TABLE.length
      ? STATIC_TABLE[index - 1]
      : this.#table.at(STATIC_TABLE.length - index);
    if (field === undefined) throw new HpackError(`no header field has index ${index}`);
    return field;
  }

  /** A field larger than the table leaves it empty (RFC 7541, section 4.4). */
  #insert(field: HeaderField): void {
    const bytes = sizeOf(field);
    this.#evictTo(Math.max(0, this.#maxTableBytes - bytes));
    if (bytes > this.#maxTableBytes) return;
    this.#table.push(field);
    this.#tableBytes += bytes;
  }

  #evictTo(maxBytes: number): void {
    while (this.#tableBytes > maxBytes) {
      const oldest = this.#table.shift();
      if (oldest === undefined) return;
      this.#tableBytes -= sizeOf(oldest);
    }
  }
}

function sizeOf([name, value]: HeaderField): number {
  return name.length + value.length + FIELD_OVERHEAD;
}

/** @returns the size of a list of fields as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113, section 6.5.2) */
export function headerListBytes(fields: readonly FieldToSend[]): number {
  return fields.reduce((sum, { name, value }) => sum + sizeOf([name, value]), 0);
}

/** A field to be sent; name and value hold one character per byte. */
export interface FieldToSend {
  readonly name: string;
  readonly value: string;
  /** Whether it must never enter a table on its way (RFC 7541, 7.1.3). @default {false} */
  readonly sensitive?: boolean;
}

/**
 * Table size update to 0. The first block after a SETTINGS with a HEADER_TABLE_SIZE below 4096 was acknowledged has
 * to begin with it (RFC 9113, section 4.3.1): servers built on nghttp2 end the connection otherwise, although
 * {@linkcode encodeHeaders} uses no dynamic table. Once is enough for a connection.
 */
export const SIZE_UPDATE_TO_ZERO = 0x20;

/** The index of the first field of each name in the static table. */
const FIRST_INDEX = new Map(
  STATIC_TABLE.map(([name], at) => [name, at + 1] as const).reverse(),
);

/**
 * Encodes a header block. It depends on no earlier one, and no later one on it: fields of the static
 * table go as their index, all others as literals that are not indexed.
 *
 * @throws {RangeError} if a name or value has a character that is no byte
 */
export function encodeHeaders(fields: readonly FieldToSend[]): Uint8Array<ArrayBuffer> {
  const block: number[] = [];
  for (const { name, value, sensitive = false } of fields) {
    const nameIndex = FIRST_INDEX.get(name) ?? 0;
    const index = sensitive ? 0 : exactIndex(nameIndex, name, value);
    if (index > 0) {
      writeInteger(block, 0x80, 7, index);
      continue;
    }
    writeInteger(block, sensitive ? 0x10 : 0, 4, nameIndex);
    if (nameIndex === 0) writeString(block, name);
    writeString(block, value);
  }
  return new Uint8Array(block);
}

/** @returns the index of a field in the static table, looked for from `first` on; 0 if it has none */
function exactIndex(first: number, name: string, value: string): number {
  for (let index = first; STATIC_TABLE[index - 1]?.[0] === name; index++) {
    if (STATIC_TABLE[index - 1]?.[1] === value) return index;
  }
  return 0;
}

/** Writes an integer after the high bits of `pattern` (RFC 7541, section 5.1). */
function writeInteger(block: number[], pattern: number, prefixBits: number, value: number): void {
  const prefix = (1 << prefixBits) - 1;
  if (value < prefix) {
    block.push(pattern | value);
    return;
  }
  block.push(pattern | prefix);
  let rest = value - prefix;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) block.push(0x80 | (rest & 0x7f));
  block.push(rest);
}

function writeString(block: number[], text: string): void {
  writeInteger(block, 0, 7, text.length);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0xff) throw new RangeError("A header field has a character that is no byte");
    block.push(code);
  }
}
