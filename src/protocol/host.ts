import { isIPv4, isIPv6 } from "node:net";

/** RFC 1035, section 2.3.4: the longest name, in bytes. */
const MAX_NAME_LENGTH = 253;

/** Labels of letters, digits, `-` and `_`, with an optional dot at the very end (an absolute name). */
const DNS_NAME = /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?$/;

/** A number as inet_aton(3) reads it: hexadecimal, octal, or decimal. */
const INET_ATON_NUMBER = /^(?:0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)$/;

/**
 * Reads a host as it may stand in a request: an IPv4 address, an IPv6 address bare or in brackets,
 * or a DNS name (letters, digits, `-`, `_`, `.`; at most 253 bytes). A name may end in a number
 * (`db.01`), unless it {@linkcode isOldIPv4Spelling}: that would reach an address that nobody wrote.
 *
 * @param text the field as it came
 * @returns the host in lower case and without brackets, or `undefined` when it is none of these
 */
export function parseHost(text: string): string | undefined {
  if (text.length === 0 || text.length > MAX_NAME_LENGTH) return undefined;
  const host = text.toLowerCase();
  if (host.startsWith("[")) {
    return host.endsWith("]") ? parseIPv6(host.slice(1, -1)) : undefined;
  }
  if (host.includes(":")) return parseIPv6(host);
  if (isIPv4(host)) return host;
  return DNS_NAME.test(host) && !isOldIPv4Spelling(host) ? host : undefined;
}

/**
 * Whether a name is one that the resolver, getaddrinfo(), does not look up but reads as an IPv4 address:
 * inet_aton(3) takes one to four numbers, decimal, octal or hexadecimal, of which the last one fills
 * all bytes that are left (`127.1`, `2130706433`, `0x7f.1`, `010.0.0.1`).
 *
 * @param host in lower case
 */
export function isOldIPv4Spelling(host: string): boolean {
  const parts = host.split(".");
  if (parts.length > 4 || !parts.every((part) => INET_ATON_NUMBER.test(part))) return false;
  // Number() would read a leading zero as decimal.
  const numbers = parts.map((part) => Number(part.replace(/^0(?=[0-7])/, "0o")));
  const last = numbers.pop() ?? 0;
  return last < 256 ** (4 - numbers.length) && numbers.every((number) => number < 256);
}

/**
 * Whether a text has the form of an IPv4 address without being one (`10.0.0.256`). It may be a name, but
 * in a configuration it is a typing error.
 */
export function isBrokenIPv4(text: string): boolean {
  return /^\d+(\.\d+){3}$/.test(text) && !isIPv4(text);
}

/** A zone (`fe80::1%eth0`) is not taken: it would name an interface of the agent's machine. */
function parseIPv6(text: string): string | undefined {
  return !text.includes("%") && isIPv6(text) ? text : undefined;
}

/**
 * Writes a host and a port the way an authority or a log line shows them.
 *
 * @returns `host:port`, an IPv6 address in brackets
 */
export function formatHostPort(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/**
 * Reads a TCP port: ASCII digits without sign or leading zero, 1 to 65535.
 *
 * @returns the port, or `undefined`
 */
export function parsePort(text: string): number | undefined {
  if (!/^[1-9][0-9]{0,4}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? port : undefined;
}

const LOOPBACK: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/**
 * @param listening the address or name that is listened on, perhaps the one that stands for all addresses
 * @returns the address by which a listener is reached from its own machine
 */
export function loopbackOf(listening: string): string {
  return LOOPBACK[listening] ?? listening;
}
