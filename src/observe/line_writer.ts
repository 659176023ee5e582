import type { LogDestination, Written } from "./log_destination.ts";

const NEWLINE = 0x0a;

/** How long to wait for room in a pipe that does not block, in milliseconds. */
const NO_ROOM_PAUSE_MS = 100;

/**
 * Writes lines to something that may take them in pieces. Where a line breaks off (the disk is full in its
 * middle), it is ended before the next one, so that it spoils no other.
 */
export class LineWriter implements LogDestination {
  readonly #write: (bytes: Uint8Array) => Promise<number>;
  #broken: boolean;

  /**
   * @param write writes some of the bytes and says how many, as `Deno.stderr.write` does
   * @param broken whether what stands there already ends in the middle of a line
   */
  constructor(write: (bytes: Uint8Array) => Promise<number>, broken = false) {
    this.#write = write;
    this.#broken = broken;
  }

  async write(lines: Uint8Array): Promise<Written> {
    let sent = 0;
    try {
      if (this.#broken) await this.#writeSome(Uint8Array.of(NEWLINE));
      this.#broken = false;
      while (sent < lines.length) sent += await this.#writeSome(lines.subarray(sent));
      return { ok: true };
    } catch (error) {
      const written = lines.subarray(0, sent).lastIndexOf(NEWLINE) + 1;
      this.#broken ||= sent > written;
      return { ok: false, written, error };
    }
  }

  /** The reader of a pipe may have made it non-blocking for both sides; then a full one is no failure. */
  async #writeSome(bytes: Uint8Array): Promise<number> {
    while (true) {
      try {
        return await this.#write(bytes);
      } catch (error) {
        if (!(error instanceof Deno.errors.WouldBlock)) throw error;
        await new Promise((resolve) => setTimeout(resolve, NO_ROOM_PAUSE_MS));
      }
    }
  }
}
