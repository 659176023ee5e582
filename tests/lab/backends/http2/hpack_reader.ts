import { HUFFMAN_CODES, STATIC_FIELDS } from "./rfc7541_tables.ts";

/** A header field as a client sent it. */
export interface HeaderField {
  readonly name: string;
  readonly value: string;
  /** Whether no table may ever hold it (RFC 7541, section 6.2.3), as is right for credentials. */
  readonly neverIndexed: boolean;
}

/** Symbols by their code, written in binary. */
const HUFFMAN_SYMBOLS = new Map(HUFFMAN_CODES.map((code, symbol) => [code, symbol]));

/** Reads the header blocks of one connection, in their order (RFC 7541). */
export class HpackReader {
  /** The newest first; a test's connection does not fill it. */
  readonly #dynamic: [name: string, value: string][] = [];
  #bytes: Uint8Array = new Uint8Array();
  #at = 0;

  /** @throws {Error} when the block does not decode */
  read(block: Uint8Array): HeaderField[] {
    this.#bytes = block;
    this.#at = 0;
    const fields: HeaderField[] = [];
    while (this.#at < block.length) {
      const first = block[this.#at] ?? 0;
      if (first >= 0x80) {
        const [name, value] = this.#entry(this.#integer(7));
        fields.push({ name, value, neverIndexed: false });
      } else if (first >= 0x20 && first < 0x40) this.#integer(5); // the table's size
      else {
        const isIndexed = first >= 0x40;
        const index = this.#integer(isIndexed ? 6 : 4);
        const name = index === 0 ? this.#string() : this.#entry(index)[0];
        const value = this.#string();
        if (isIndexed) this.#dynamic.unshift([name, value]);
        fields.push({ name, value, neverIndexed: (first & 0xf0) === 0x10 });
      }
    }
    return fields;
  }

  #entry(index: number): [string, string] {
    const entry = STATIC_FIELDS[index - 1] ?? this.#dynamic[index - 1 - STATIC_FIELDS.length];
    if (entry === undefined) throw new Error(`No entry ${index} in the header table`);
    return entry;
  }

  #integer(prefixBits: number): number {
    const limit = 2 ** prefixBits - 1;
    let value = (this.#bytes[this.#at++] ?? 0) & limit;
    if (value < limit) return value;
    for (let shift = 0;; shift += 7) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  #string(): string {
    const isHuffman = (this.#bytes[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(7);
    const bytes = this.#bytes.subarray(this.#at, this.#at += length);
    if (bytes.length < length) throw new Error("A string is longer than its header block");
    return new TextDecoder().decode(isHuffman ? decodeHuffman(bytes) : bytes);
  }
}

function decodeHuffman(bytes: Uint8Array): Uint8Array {
  const decoded: number[] = [];
  let code = "";
  for (const byte of bytes) {
    for (const bit of byte.toString(2).padStart(8, "0")) {
      code += bit;
      const symbol = HUFFMAN_SYMBOLS.get(code);
      if (symbol === undefined) continue;
      decoded.push(symbol);
      code = "";
    }
  }
  if (!/^1{0,7}$/.test(code)) throw new Error(`A Huffman code ends with ${code}`);
  return Uint8Array.from(decoded);
}
