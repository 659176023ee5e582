const LF = 0x0a;
const CR = 0x0d;

/**
 * Cuts a stream of bytes into lines. It knows no socket and no clock: whoever reads puts bytes into
 * {@linkcode space}, says how many with {@linkcode fill}, and takes the lines out with
 * {@linkcode next}.
 *
 * A line ends at `\n`, at `\r`, or where the caller says so with {@linkcode takeRest} (end of the
 * stream, or a pause: HAProxy's runtime API cannot send a newline). `\r\n` is one end, and a line
 * end that follows a line already taken by `takeRest` belongs to that line.
 */
export class LineBuffer {
  readonly #maxLineBytes: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  /** Where the first byte not yet taken is. */
  #start = 0;
  /** Up to where line ends were looked for. */
  #scanned = 0;
  /** Where the bytes end. */
  #end = 0;
  /** Which line end, if it comes next, still belongs to the line before: none, `\n`, or any. */
  #skip: "nothing" | "lf" | "end" = "nothing";

  /** @param maxLineBytes longest line, without its end, in bytes */
  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
    this.#bytes = new Uint8Array(maxLineBytes + 1);
  }

  /** Whether a line is longer than allowed, so that no further line can be had. */
  get overlong(): boolean {
    return this.#end - this.#start > this.#maxLineBytes && this.#scanned === this.#end;
  }

  /** How long the line is that has not ended, in bytes. */
  get restLength(): number {
    return this.#end - this.#start;
  }

  /** The bytes of a line that has not ended, valid until the next call. */
  get rest(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /**
   * Room to read into. Not to be called while a read into an earlier room is under way.
   *
   * @returns a view that is empty only when the buffer is full of lines or {@linkcode overlong}
   */
  space(): Uint8Array<ArrayBuffer> {
    if (this.#start > 0) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#scanned -= this.#start;
      this.#start = 0;
    }
    return this.#end === 0 ? this.#bytes : this.#bytes.subarray(this.#end);
  }

  /** Says that the first `count` bytes of the last {@linkcode space} were filled. */
  fill(count: number): void {
    this.#end += count;
  }

  /** @returns the next complete line without its end, valid until the next call, or `undefined` */
  next(): Uint8Array<ArrayBuffer> | undefined {
    this.#skipEnd();
    for (; this.#scanned < this.#end; this.#scanned++) {
      const byte = this.#bytes[this.#scanned];
      if (byte !== LF && byte !== CR) continue;
      const line = this.#bytes.subarray(this.#start, this.#scanned);
      this.#scanned++;
      this.#start = this.#scanned;
      if (byte === CR) this.#skip = "lf";
      return line;
    }
    return undefined;
  }

  /** Ends the unfinished line here. @returns its bytes, valid until the next call */
  takeRest(): Uint8Array<ArrayBuffer> {
    const line = this.rest;
    this.#start = this.#end;
    this.#scanned = this.#end;
    this.#skip = "end";
    return line;
  }

  #skipEnd(): void {
    if (this.#skip === "end" && this.#start < this.#end) {
      this.#skip = this.#skipByte(CR) ? "lf" : "nothing";
      if (this.#skip === "nothing") this.#skipByte(LF);
    }
    if (this.#skip === "lf" && this.#start < this.#end) {
      this.#skipByte(LF);
      this.#skip = "nothing";
    }
  }

  #skipByte(byte: number): boolean {
    if (this.#bytes[this.#start] !== byte) return false;
    this.#start++;
    this.#scanned = Math.max(this.#scanned, this.#start);
    return true;
  }
}
