/**
 * A header block that breaks HPACK's rules or the decoder's bounds; the message says what is wrong,
 * for people. The dynamic table is then no longer that of the peer, so the connection has to end with
 * COMPRESSION_ERROR (RFC 9113, section 4.3).
 */
export class HpackError extends Error {
  override readonly name = "HpackError";
}
