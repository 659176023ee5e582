import { isIPv6 } from "node:net";

const MAX_LENGTH = 253;

/** `reg-name` of RFC 3986, section 3.2.2 (an IPv4 address is one, too), and an optional port. */
const NAME_AND_PORT = /^([A-Za-z0-9._~!$&'()*+,;=%-]+)(?::([0-9]{1,5}))?$/;

/** An IP literal in brackets, and an optional port. */
const BRACKETED_AND_PORT = /^\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?$/;

/** The fourth field of a request, taken apart. */
export interface Authority {
  /** What is sent as `:authority`. */
  readonly value: string;
  /** The host alone: with `ssl`, the name that the server's certificate must carry. */
  readonly host: string;
}

/**
 * Reads `proxy_host_name`: a host with an optional `:port` (RFC 3986, section 3.2, without user
 * information), visible ASCII, at most 253 bytes. A bare IPv6 address is taken and bracketed.
 *
 * @returns the authority, or `undefined` when it is none
 */
export function parseAuthority(text: string): Authority | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  if (isIPv6(text) && !text.includes("%")) return { value: `[${text}]`, host: text };
  const [, literal, literalPort] = BRACKETED_AND_PORT.exec(text) ?? [];
  if (literal !== undefined) {
    return isIPv6(literal) && isPort(literalPort) ? { value: text, host: literal } : undefined;
  }
  const [, name, port] = NAME_AND_PORT.exec(text) ?? [];
  return name !== undefined && isPort(port) ? { value: text, host: name } : undefined;
}

function isPort(text: string | undefined): boolean {
  return text === undefined || Number(text) <= 65535;
}
