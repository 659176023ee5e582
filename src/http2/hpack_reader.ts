import { HpackError } from "./hpack_error.ts";
import { decodeHuffman } from "./huffman.ts";

/** Largest integer taken; no length or index that means something comes near it. */
const MAX_INTEGER = 2 ** 31 - 1;

/** Bytes of an integer after its prefix: as many as {@linkcode MAX_INTEGER} needs. */
const MAX_CONTINUATION_BYTES = 5;

/** How many characters are made into a string by one call: V8 bounds a call's arguments. */
const CHARACTERS_PER_CALL = 8192;

/** Reads the integers and strings of a header block, one after the other (RFC 7541, section 5). */
export class HpackReader {
  readonly #block: Uint8Array;
  #at = 0;

  constructor(block: Uint8Array) {
    this.#block = block;
  }

  /** Whether everything was read. */
  get done(): boolean {
    return this.#at >= this.#block.length;
  }

  /** The next byte, which stays unread; 0 at the end. */
  get next(): number {
    return this.#block[this.#at] ?? 0;
  }

  /**
   * Reads an integer (section 5.1).
   *
   * @param prefixBits how many bits of the next byte belong to it, from 1 to 8
   * @returns a number from 0 to 2^31 - 1
   * @throws {HpackError} if the block ends inside, or the integer is too large or too long
   */
  integer(prefixBits: number): number {
    const prefix = (1 << prefixBits) - 1;
    let value = this.#byte() & prefix;
    if (value < prefix) return value;
    for (let nth = 0; nth < MAX_CONTINUATION_BYTES; nth++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** (7 * nth);
      if (value > MAX_INTEGER) {
        throw new HpackError(`an integer in the header block is above ${MAX_INTEGER}`);
      }
      if (byte < 0x80) return value;
    }
    throw new HpackError(
      `an integer in the header block has more than ${MAX_CONTINUATION_BYTES} continuation bytes`,
    );
  }

  /**
   * Reads a string, plain or in Huffman code (section 5.2).
   *
   * @returns one character per byte
   * @throws {HpackError} if it is longer than what is left of the block, or its Huffman code is wrong
   */
  string(): string {
    const huffman = this.next >= 0x80;
    const length = this.integer(7);
    const start = this.#at;
    const end = start + length;
    if (end > this.#block.length) {
      throw new HpackError("a string is longer than what is left of the header block");
    }
    this.#at = end;
    if (huffman) return toLatin1(decodeHuffman(this.#block, start, end));
    const bytes: number[] = [];
    for (let at = start; at < end; at++) bytes.push(this.#block[at] ?? 0);
    return toLatin1(bytes);
  }

  #byte(): number {
    const byte = this.#block[this.#at];
    if (byte === undefined) throw new HpackError("the header block ends inside a field");
    this.#at++;
    return byte;
  }
}

/** A string of one character per byte. */
function toLatin1(bytes: number[]): string {
  if (bytes.length <= CHARACTERS_PER_CALL) return String.fromCharCode.apply(null, bytes);
  let text = "";
  for (let at = 0; at < bytes.length; at += CHARACTERS_PER_CALL) {
    text += String.fromCharCode(...bytes.slice(at, at + CHARACTERS_PER_CALL));
  }
  return text;
}
