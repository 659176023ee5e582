/**
 * All ways in which a reader may get bytes that tell of faults in joining them: whole, byte by byte, in two
 * parts cut at each place, and in parts of three.
 */
export function* everyCut(bytes: Uint8Array): Generator<readonly Uint8Array[]> {
  yield [bytes];
  yield partsOf(bytes, 1);
  for (let at = 1; at < bytes.length; at++) yield [bytes.slice(0, at), bytes.slice(at)];
  yield partsOf(bytes, 3);
}

/** Parts of so many bytes each. */
export function partsOf(bytes: Uint8Array, size: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.slice(at, at + size));
  return parts;
}
