import { formatIpAddress, type IpAddress, parseIpAddress } from "./ip_address.ts";

/** What {@linkcode parseNetwork} accepts, in words. */
export const ACCEPTED_NETWORK = "an IP address or a network (10.0.0.0/8, 2001:db8::/32)";

/** A network, or why the text is none: the end of a sentence that begins with the text. */
export type ParsedNetwork =
  | { readonly ok: true; readonly network: Network }
  | { readonly ok: false; readonly reason: string };

/**
 * The addresses of one family that begin with the same bits. (node:net's `BlockList` was no choice:
 * for it `::ffff:10.0.0.1` is in `::/0` and `10.0.0.1` is not, and it takes `10.1.2.3/8` silently.)
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
