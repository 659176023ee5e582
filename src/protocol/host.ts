import { isIPv4, isIPv6 } from "node:net";

/** RFC 1035, section 2.3.4: the longest name, in bytes. */
const MAX_NAME_LENGTH = 253;

/** Labels of letters, digits, `-` and `_`, with an optional dot at the very end (an absolute name). */
const DNS_NAME = /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?$/;

/**
 * A last label that getaddrinfo() would read as part of an IPv4 address in one of its old spellings
 * (`127.1`, `2130706433`, `0x7f.1`). Such a name reaches an address that nobody wrote, so only the
 * ordinary spelling with four decimal numbers is taken.
 */
const NUMERIC_LAST_LABEL = /(^|\.)(\d+|0x[0-9a-f]*)\.?$/;

/**
 * Reads a host as it may stand in a request: an IPv4 address, an IPv6 address bare or in brackets,
 * or a DNS name (letters, digits, `-`, `_`, `.`; at most 253 bytes).
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
  return DNS_NAME.test(host) && !NUMERIC_LAST_LABEL.test(host) ? host : undefined;
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
