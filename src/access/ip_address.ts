import { isIPv4, isIPv6 } from "node:net";

/** An IP address as a number. An IPv4-mapped IPv6 address is the IPv4 address that it stands for. */
export interface IpAddress {
  readonly family: 4 | 6;
  /** 32 or 128 bits, the first byte of the address highest. */
  readonly bits: bigint;
}

/** What stands before the 32 bits of the IPv4 address (RFC 4291, section 2.5.5.2): `::ffff:0:0/96`. */
const IPV4_MAPPED = 0xffffn;

const IPV6_HEX_DIGITS = 32;

/**
 * Reads an IP address as a socket or a resolver gives it, without brackets. The zone of an IPv6
 * address (`fe80::1%eth0`) is left out: it says where the address is valid, not which one it is.
 *
 * @returns the address, or `undefined` when the text is none
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  if (isIPv4(text)) return { family: 4, bits: BigInt(readIPv4(text)) };
  if (!isIPv6(text)) return undefined;
  const zone = text.indexOf("%");
  const bits = readIPv6(zone < 0 ? text : text.slice(0, zone));
  return bits >> 32n === IPV4_MAPPED
    ? { family: 4, bits: BigInt.asUintN(32, bits) }
    : { family: 6, bits };
}

/** @returns the address in its canonical spelling (RFC 5952), without brackets */
export function formatIpAddress({ family, bits }: IpAddress): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join(".");
  const digits = bits.toString(16).padStart(IPV6_HEX_DIGITS, "0");
  return new URL(`http://[${digits.replace(/.{4}(?=.)/g, "$&:")}]`).hostname.slice(1, -1);
}

function readIPv4(text: string): number {
  return text.split(".").reduce((value, byte) => value * 256 + Number(byte), 0);
}

function readIPv6(text: string): bigint {
  const [head = "", tail = ""] = text.split("::");
  const last = hexDigits(tail);
  return BigInt(`0x${hexDigits(head).padEnd(IPV6_HEX_DIGITS - last.length, "0")}${last}`);
}

/** The digits of some groups with all zeros written, the last group perhaps an IPv4 address. */
function hexDigits(groups: string): string {
  if (groups === "") return "";
  return groups.split(":").map((group) =>
    group.includes(".") ? readIPv4(group).toString(16).padStart(8, "0") : group.padStart(4, "0")
  ).join("");
}
