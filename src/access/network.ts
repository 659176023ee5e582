import { isIPv4, isIPv6 } from "node:net";

/** An IP address as a number. An IPv4-mapped IPv6 address is the IPv4 address that it stands for. */
export interface IpAddress {
  readonly family: 4 | 6;
  /** 32 or 128 bits, the first byte of the address highest. */
  readonly bits: bigint;
}

/** The bits before those of the IPv4 address in an IPv4-mapped one (RFC 4291, section 2.5.5.2): `::ffff:0:0/96`. */
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

/** The hexadecimal digits of some groups, with leading zeros; the last group may be an IPv4 address. */
function hexDigits(groups: string): string {
  if (groups === "") return "";
  return groups.split(":").map((group) =>
    group.includes(".") ? readIPv4(group).toString(16).padStart(8, "0") : group.padStart(4, "0")
  ).join("");
}

/** What {@linkcode parseNetwork} accepts, in words. */
const ACCEPTED_NETWORK = "an IP address or a network (10.0.0.0/8, 2001:db8::/32)";

/** A network, or why the text is none: the end of a sentence that begins with the text. */
type ParsedNetwork =
  | { readonly ok: true; readonly network: Network }
  | { readonly ok: false; readonly reason: string };

/**
 * The addresses of one family that begin with the same bits. Node's `BlockList` (node:net) would not do: for it
 * `::ffff:10.0.0.1` is in `::/0` but `10.0.0.1` is not, and it accepts `10.1.2.3/8`.
 */
export class Network {
  readonly #family: 4 | 6;
  readonly #hostBits: bigint;
  /** The bits that all addresses of the network have in common. */
  readonly #prefix: bigint;

  /**
   * @param address an address in the network
   * @param hostBits how many bits differ from address to address, 0 to 32 (IPv4) or 128 (IPv6)
   */
  constructor(address: IpAddress, hostBits: number) {
    this.#family = address.family;
    this.#hostBits = BigInt(hostBits);
    this.#prefix = address.bits >> this.#hostBits;
  }

  /** The lowest address of the network, the one it is called by. */
  get firstAddress(): IpAddress {
    return { family: this.#family, bits: this.#prefix << this.#hostBits };
  }

  /** @returns whether the address is in the network; one of the other family never is */
  contains(address: IpAddress): boolean {
    return address.family === this.#family && address.bits >> this.#hostBits === this.#prefix;
  }
}

/**
 * Reads `address/prefix-length` or a single address, IPv4 or IPv6, without brackets or zone. Numbers
 * have no leading zeros. An IPv4-mapped IPv6 network (`::ffff:10.0.0.0/104`) is the IPv4 network.
 *
 * Bits set after the prefix are refused, not cleared: whoever wrote `10.1.2.3/8` may have meant one
 * address, and an access rule that covers more than was meant is found too late.
 *
 * @returns the network, or a reason that says what would be right; never throws
 */
export function parseNetwork(text: string): ParsedNetwork {
  const slash = text.indexOf("/");
  const addressText = slash < 0 ? text : text.slice(0, slash);
  const address = addressText.includes("%") ? undefined : parseIpAddress(addressText);
  if (address === undefined) return { ok: false, reason: `is not ${ACCEPTED_NETWORK}` };
  const longest = addressText.includes(":") ? 128 : 32;
  const shortest = longest - (address.family === 4 ? 32 : 128);
  const length = slash < 0 ? longest : parsePrefixLength(text.slice(slash + 1));
  if (length === undefined || length < shortest || length > longest) {
    return {
      ok: false,
      reason: `must have a prefix length from ${shortest} to ${longest} after the slash`,
    };
  }
  const network = new Network(address, longest - length);
  const { firstAddress } = network;
  if (firstAddress.bits !== address.bits) {
    const right = `${formatIpAddress(firstAddress)}/${length - shortest}`;
    return {
      ok: false,
      reason: `has bits set after the prefix, write ${right} or the single address ${
        formatIpAddress(address)
      }`,
    };
  }
  return { ok: true, network };
}

function parsePrefixLength(text: string): number | undefined {
  return /^(0|[1-9][0-9]{0,2})$/.test(text) ? Number(text) : undefined;
}
