import { huffmanEncode, STATIC_FIELDS } from "./rfc7541_tables.ts";

/** How {@linkcode HpackEncoder} is to send a field. */
export interface FieldCoding {
  readonly name: string;
  readonly value: string;
  /** What to do with the field if a table does not have it as it is. */
  readonly literal: "incremental" | "without" | "never";
  /** Whether a table's field or name is used if there is one. */
  readonly indexed: boolean;
  readonly huffman: boolean;
}

/** An encoder that uses all of HPACK, as servers do, and shares nothing with the one of the agent. */
export class HpackEncoder {
  /** The dynamic table, newest field first. */
  table: [string, string][] = [];
  #maxBytes = 4096;

  /** What the table holds, as RFC 7541, section 4.1 counts it. */
  get tableBytes(): number {
    return this.table.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  }

  /** Begins a block with a table size update. */
  sizeUpdate(maxBytes: number): number[] {
    this.#maxBytes = maxBytes;
    this.#evict();
    return integer(0b001, 5, maxBytes);
  }

  /** Encodes one field. */
  field(coding: FieldCoding): number[] {
    const { name, value, literal, huffman } = coding;
    const known = coding.indexed ? [...STATIC_FIELDS, ...this.table] : [];
    const exact = known.findIndex((field) => field[0] === name && field[1] === value) + 1;
    if (exact > 0) return integer(0b1, 7, exact);
    const sameName = known.findIndex((field) => field[0] === name) + 1;
    const strings = [...(sameName > 0 ? [] : string(name, huffman)), ...string(value, huffman)];
    if (literal === "without") return [...integer(0b0000, 4, sameName), ...strings];
    if (literal === "never") return [...integer(0b0001, 4, sameName), ...strings];
    this.table.unshift([name, value]);
    this.#evict();
    return [...integer(0b01, 6, sameName), ...strings];
  }

  #evict(): void {
    while (this.tableBytes > this.#maxBytes) this.table.pop();
  }
}

function integer(pattern: number, prefixBits: number, value: number): number[] {
  const limit = 2 ** prefixBits - 1;
  const high = pattern * 2 ** prefixBits;
  if (value < limit) return [high + value];
  const bytes = [high + limit];
  let rest = value - limit;
  while (rest >= 128) {
    bytes.push(rest % 128 + 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

function string(text: string, huffman: boolean): number[] {
  const bytes = huffman ? [...huffmanEncode(text)] : [...text].map((char) => char.charCodeAt(0));
  return [...integer(huffman ? 1 : 0, 7, bytes.length), ...bytes];
}
