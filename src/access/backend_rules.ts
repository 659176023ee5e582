import { type BackendRule, parseBackendRule } from "./backend_rule.ts";
import { type IpAddress, parseIpAddress } from "./ip_address.ts";
import { parseEntries } from "./parse_entries.ts";

/** The rules, or one sentence per wrong entry. */
export type ParsedBackendRules =
  | { readonly ok: true; readonly rules: BackendRules }
  | { readonly ok: false; readonly mistakes: readonly string[] };

/**
 * What may be checked.
 *
 * A host pattern trusts whoever answers for the name: a request for such a name may go wherever the
 * name resolves to. It is compared with the name as requested, before any search domain. For other
 * names the networks decide, address by address, and for a request by IP address they alone do.
 */
export class BackendRules {
  readonly #rules: readonly BackendRule[];

  /** @param rules where checks may go; none at all means everywhere */
  constructor(rules: readonly BackendRule[]) {
    this.#rules = rules;
  }

  /** Whether everything may be checked, because no rule was given. */
  get open(): boolean {
    return this.#rules.length === 0;
  }

  /**
   * Whether it is worth resolving the host. For an IP address that is the whole answer; for a name,
   * `false` means that no address whatever would be {@linkcode permitted}.
   *
   * @param host an IP address without brackets, or a DNS name
   * @param port a TCP port, 1 to 65535
   */
  mayPermit(host: string, port: number): boolean {
    if (this.open) return true;
    const address = parseIpAddress(host);
    return this.#rules.some((rule) =>
      hasPort(rule, port) &&
      (rule.kind === "names"
        ? rule.pattern.matches(host)
        : address === undefined || rule.network.contains(address))
    );
  }

  /**
   * Which of a host's addresses may be connected to.
   *
   * @param host an IP address without brackets, or a DNS name
   * @param port a TCP port, 1 to 65535
   * @param addresses what the host resolved to; for an IP address, that address
   * @returns the addresses that are permitted, in their order; none when the request is denied
   */
  permitted(host: string, port: number, addresses: readonly string[]): readonly string[] {
    if (this.open) return addresses;
    const rules = this.#rules.filter((rule) => hasPort(rule, port));
    if (rules.some((rule) => rule.kind === "names" && rule.pattern.matches(host))) return addresses;
    return addresses.filter((text) => {
      const address = parseIpAddress(text);
      return address !== undefined && rules.some((rule) => hasAddress(rule, address));
    });
  }
}

/**
 * Reads the entries of `allow_backends`: IP addresses, networks and host patterns, each with an
 * optional port or range of ports.
 *
 * @param texts the entries, without blanks around them; none means that everything may be checked
 */
export function parseBackendRules(texts: readonly string[]): ParsedBackendRules {
  const parsed = parseEntries(texts, parseBackendRule);
  return parsed.ok ? { ok: true, rules: new BackendRules(parsed.rules) } : parsed;
}

function hasPort({ fromPort, toPort }: BackendRule, port: number): boolean {
  return fromPort <= port && port <= toPort;
}

function hasAddress(rule: BackendRule, address: IpAddress): boolean {
  return rule.kind === "addresses" && rule.network.contains(address);
}
