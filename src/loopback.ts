const LOOPBACK: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/**
 * Where to find on this machine what listens on an address.
 *
 * @param listening the address or name listened on, perhaps that of all addresses
 */
export function loopbackOf(listening: string): string {
  return LOOPBACK[listening] ?? listening;
}
