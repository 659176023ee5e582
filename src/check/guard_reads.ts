import type { Socket } from "node:net";

/**
 * What is read of a socket at once, in bytes. A socket gives up to 64 KiB, which HTTP/2 takes apart in one
 * go; of tiny frames that is a tenth of a second in which no other check goes on.
 */
const SLICE_BYTES = 4096;

/**
 * Hands what arrives on a socket to its reader in small slices, each only when it is admitted.
 *
 * @param admit told of each slice's length in bytes before the reader has it; the reader never gets one that
 * is refused, nor the rest that came with it
 */
export function guardReads(socket: Socket, admit: (count: number) => boolean): void {
  const { emit } = socket;
  const pass = (...event: unknown[]): boolean => Reflect.apply(emit, socket, event);
  socket.emit = (...event: unknown[]) => {
    const [name, bytes] = event;
    if (name !== "data" || !(bytes instanceof Uint8Array)) return pass(...event);
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      const slice = bytes.subarray(at, at + SLICE_BYTES);
      if (!admit(slice.length)) break;
      pass(name, slice);
    }
    return true;
  };
}
