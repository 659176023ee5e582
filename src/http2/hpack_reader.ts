/**
 * A header block that breaks HPACK's rules or the decoder's bounds; the message says what is wrong,
 * for people. The dynamic table is then no longer that of the peer, so the connection has to end with
 * COMPRESSION_ERROR (RFC 9113, section 4.3).
 */
export class HpackError extends Error {
  override readonly name = "HpackError";
}

/** Largest integer taken; no length or index that means something comes near it. */
const MAX_INTEGER = 2 ** 31 - 1;

/** Bytes of an integer after its prefix: as many as {@linkcode MAX_INTEGER} needs. */
const MAX_CONTINUATION_BYTES = 5;

/** How many characters one call makes into a string: V8 bounds the number of a call's arguments. */
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

/** The symbol that ends the code; it must not occur in a string. */
const EOS = 256;

/**
 * How many bits the code of each symbol has, from byte 0 to {@linkcode EOS} (RFC 7541, appendix B).
 * The code is canonical, so the lengths are all there is to know: codes of one length count up in the
 * order of their symbols, and shorter codes come first.
 */
// deno-fmt-ignore
const CODE_LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
   6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
   5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
  13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
   7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
  15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
   6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

/** How many bits of an entry hold the symbol; the bits above hold the length of its code. */
const SYMBOL_BITS = 9;

/**
 * The code as a tree of nodes with 256 entries each, one for every value of the next eight bits. An
 * entry is either a symbol, with the number of bits of these eight that belong to it, or, negative,
 * the node to go on with after these eight bits.
 */
const TREE = buildTree();

function buildTree(): Int16Array {
  const tree = new Array<number>(256).fill(0);
  let code = 0;
  for (let length = 1; length <= 30; length++) {
    code *= 2;
    for (const [symbol, symbolLength] of CODE_LENGTHS.entries()) {
      if (symbolLength === length) addCode(tree, code++, length, symbol);
    }
  }
  return Int16Array.from(tree);
}

function addCode(tree: number[], code: number, length: number, symbol: number): void {
  let node = 0;
  let bits = length;
  while (bits > 8) {
    bits -= 8;
    const at = node * 256 + ((code >>> bits) & 0xff);
    if (tree[at] === 0) {
      tree[at] = -tree.length / 256;
      tree.push(...new Array<number>(256).fill(0));
    }
    node = -(tree[at] ?? 0);
  }
  const first = node * 256 + ((code << (8 - bits)) & 0xff);
  tree.fill((bits << SYMBOL_BITS) | symbol, first, first + (1 << (8 - bits)));
}

/**
 * Decodes a string in HPACK's Huffman code (RFC 7541, section 5.2).
 *
 * @param bytes where the string is
 * @param start its first byte
 * @param end the byte after its last one, at most the length of `bytes`
 * @returns the bytes that were encoded, at most 8/5 as many
 * @throws {HpackError} if EOS is in it, or if it does not end in at most seven bits, all ones, that
 * are no symbol
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): number[] {
  const decoded: number[] = [];
  let node = 0;
  /** The last bits read, of which the lowest `count` are not used yet. */
  let bits = 0;
  let count = 0;
  for (let at = start; at < end; at++) {
    bits = ((bits & 0xff) << 8) | (bytes[at] ?? 0);
    count += 8;
    while (count >= 8) {
      const entry = TREE[node * 256 + ((bits >>> (count - 8)) & 0xff)] ?? 0;
      if (entry < 0) {
        node = -entry;
        count -= 8;
      } else {
        decoded.push(byteOf(entry));
        node = 0;
        count -= entry >>> SYMBOL_BITS;
      }
    }
  }
  while (count > 0) {
    const entry = TREE[node * 256 + ((bits << (8 - count)) & 0xff)] ?? 0;
    if (entry < 0 || entry >>> SYMBOL_BITS > count) break;
    decoded.push(byteOf(entry));
    node = 0;
    count -= entry >>> SYMBOL_BITS;
  }
  if (node !== 0) throw new HpackError("Huffman padding is longer than 7 bits");
  const ones = (1 << count) - 1;
  if ((bits & ones) !== ones) throw new HpackError("Huffman padding is not all ones");
  return decoded;
}

/** The byte that an entry of {@linkcode TREE} stands for. */
function byteOf(entry: number): number {
  const symbol = entry & ((1 << SYMBOL_BITS) - 1);
  if (symbol === EOS) throw new HpackError("the Huffman symbol EOS is inside a string");
  return symbol;
}
