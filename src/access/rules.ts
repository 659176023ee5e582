import { isIP } from "node:net";
import { isBrokenIPv4, isOldIPv4Spelling, parseHost, parsePort } from "../protocol/host.ts";
import { type IpAddress, type Network, parseIpAddress, parseNetwork } from "./network.ts";

/** One entry of a list, or why it is wrong: the end of a sentence that begins with the entry. */
type ParsedEntry<Rule> =
  | { readonly ok: true; readonly rule: Rule }
  | { readonly ok: false; readonly reason: string };

/** The rules of a list, or one sentence per wrong entry. */
type ParsedRules<Rules> =
  | { readonly ok: true; readonly rules: Rules }
  | { readonly ok: false; readonly mistakes: readonly string[] };

/** Reads every entry of a list, so that all mistakes come at once. */
function parseEntries<Rule>(
  texts: readonly string[],
  parse: (text: string) => ParsedEntry<Rule>,
): ParsedRules<readonly Rule[]> {
  const rules: Rule[] = [];
  const mistakes: string[] = [];
  for (const text of texts) {
    const entry = parse(text);
    if (entry.ok) rules.push(entry.rule);
    else mistakes.push(`${JSON.stringify(text)} ${entry.reason}`);
  }
  return mistakes.length > 0 ? { ok: false, mistakes } : { ok: true, rules };
}

/** Who may ask for checks. */
export class ClientRules {
  readonly #networks: readonly Network[];

  /** @param networks from where clients may come; none at all means from everywhere */
  constructor(networks: readonly Network[]) {
    this.#networks = networks;
  }

  /** Whether everybody may ask, because no rule was given. */
  get #open(): boolean {
    return this.#networks.length === 0;
  }

  /**
   * @param address the client's IP address, without brackets; anything else is in no network
   * @returns whether that client may ask
   */
  allows(address: string): boolean {
    if (this.#open) return true;
    const parsed = parseIpAddress(address);
    return parsed !== undefined && this.#networks.some((network) => network.contains(parsed));
  }
}

/**
 * Reads the entries of `allow_clients`: IP addresses and networks.
 *
 * @param texts the entries, without blanks around them; none means that everybody may ask
 */
export function parseClientRules(texts: readonly string[]): ParsedRules<ClientRules> {
  const parsed = parseEntries(texts, (text) => {
    const entry = parseNetwork(text);
    return entry.ok ? { ok: true, rule: entry.network } : entry;
  });
  return parsed.ok ? { ok: true, rules: new ClientRules(parsed.rules) } : parsed;
}

const WILDCARD = "*.";

/** DNS names: a single one, or with {@linkcode WILDCARD} before it all those below it. */
class HostPattern {
  /** The single name, or the end of the names with the dot before it. */
  readonly #end: string;
  readonly #exact: boolean;

  private constructor(end: string, exact: boolean) {
    this.#end = end;
    this.#exact = exact;
  }

  /**
   * Reads a DNS name (`api.internal`), or `*.` and a DNS name (`*.svc.cluster.local`). A `*` may stand nowhere else.
   * A `*` alone is refused, since it would not cover requests by IP address.
   *
   * @returns the pattern, or `undefined` when the text is none; never throws
   */
  static parse(text: string): HostPattern | undefined {
    if (!text.startsWith(WILDCARD)) {
      const name = parseHost(text);
      return name === undefined || isIP(name) !== 0 || isBrokenIPv4(name)
        ? undefined
        : new HostPattern(comparable(name), true);
    }
    // `*.1` is for names that end in a number; part of an address is no pattern.
    const below = text.slice(WILDCARD.length);
    if (below.includes(".") && (isOldIPv4Spelling(below) || isBrokenIPv4(below))) return undefined;
    const name = below === "" ? undefined : parseHost(`a.${below}`);
    return name === undefined ? undefined : new HostPattern(comparable(name.slice(1)), false);
  }

  /**
   * Whether a name matches. Capitals, and the dot at the end of an absolute name, make no difference; `*.` stands for
   * one label or more.
   *
   * @param host a DNS name or an IP address; the latter never matches
   */
  matches(host: string): boolean {
    if (isIP(host) !== 0) return false;
    const name = comparable(host);
    return this.#exact ? name === this.#end : name.endsWith(this.#end);
  }
}

function comparable(name: string): string {
  return (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
}

/** One entry of `allow_backends`: where a check may go. */
type BackendRule =
  & {
    /** The lowest port, 1 to 65535. */
    readonly fromPort: number;
    /** The highest port, at least the lowest. */
    readonly toPort: number;
  }
  & (
    | { readonly kind: "addresses"; readonly network: Network }
    | { readonly kind: "names"; readonly pattern: HostPattern }
  );

const NOT_ACCEPTED =
  "is not an IP address, a network or a host pattern, each with an optional :port or :from-to " +
  "(10.0.0.0/8, [2001:db8::/32]:443, api.internal:443, *.svc.cluster.local:8000-9000)";

const WRONG_PORTS =
  "must have a number from 1 to 65535, or two with a - between, the lower first, after the colon";

const BRACKETS_MISSING =
  "must have the IPv6 network in brackets when a port follows ([2001:db8::/32]:443)";

/** An IPv6 network without brackets, and ports. */
const BARE_WITH_PORTS = /^[^[/]*:[^/]*\/[^/]*:/;

/** An IPv6 address in brackets, its prefix length within or behind them, and ports. */
const BRACKETED = /^\[([^\]/]*:[^\]/]*)(?:(\/[^\]/]*)\]|\](\/[^:]*)?)(?::(.*))?$/s;

/**
 * Reads an IP address, a network or a host pattern, each with an optional `:port` or `:from-to`. Only
 * in brackets can IPv6 have ports: `[2001:db8::/32]:443`, `[2001:db8::]/32:443`; without them every
 * colon belongs to the address.
 *
 * @returns the rule, or a reason that says what is accepted; never throws
 */
function parseBackendRule(text: string): ParsedEntry<BackendRule> {
  if (BARE_WITH_PORTS.test(text)) return { ok: false, reason: BRACKETS_MISSING };
  const parts = splitPorts(text);
  if (parts === undefined) return { ok: false, reason: NOT_ACCEPTED };
  const { target } = parts;
  const ports = parsePorts(parts.ports);
  if (ports === undefined) return { ok: false, reason: WRONG_PORTS };
  const [beforeSlash = ""] = target.split("/");
  if (isIP(beforeSlash) !== 0) {
    const parsed = parseNetwork(target);
    return parsed.ok
      ? { ok: true, rule: { kind: "addresses", network: parsed.network, ...ports } }
      : parsed;
  }
  const pattern = HostPattern.parse(target);
  return pattern === undefined
    ? { ok: false, reason: NOT_ACCEPTED }
    : { ok: true, rule: { kind: "names", pattern, ...ports } };
}

interface TargetAndPorts {
  readonly target: string;
  readonly ports: string | undefined;
}

function splitPorts(text: string): TargetAndPorts | undefined {
  if (text.startsWith("[")) {
    const [, address, within = "", behind = "", ports] = BRACKETED.exec(text) ?? [];
    return address === undefined ? undefined : { target: address + within + behind, ports };
  }
  const colon = text.indexOf(":");
  return colon < 0 || text.includes(":", colon + 1)
    ? { target: text, ports: undefined }
    : { target: text.slice(0, colon), ports: text.slice(colon + 1) };
}

function parsePorts(
  text: string | undefined,
): Pick<BackendRule, "fromPort" | "toPort"> | undefined {
  if (text === undefined) return { fromPort: 1, toPort: 65535 };
  const dash = text.indexOf("-");
  const fromPort = parsePort(dash < 0 ? text : text.slice(0, dash));
  const toPort = parsePort(text.slice(dash + 1));
  if (fromPort === undefined || toPort === undefined || fromPort > toPort) return undefined;
  return { fromPort, toPort };
}

/**
 * What may be checked.
 *
 * A request for a name that a host pattern matches may go wherever the name resolves to, so a pattern trusts whoever
 * answers for the name. It is compared with the name as requested, before any search domain. For other names the
 * networks decide, address by address, and for a request by IP address they alone do.
 */
export class BackendRules {
  readonly #rules: readonly BackendRule[];

  /** @param rules where checks may go; none at all means everywhere */
  constructor(rules: readonly BackendRule[]) {
    this.#rules = rules;
  }

  /** Whether everything may be checked, because no rule was given. */
  get #open(): boolean {
    return this.#rules.length === 0;
  }

  /**
   * Whether it is worth resolving the host. For an IP address this is the whole answer. For a name, `false` means
   * that none of its addresses could be {@linkcode permitted}.
   *
   * @param host an IP address without brackets, or a DNS name
   * @param port a TCP port, 1 to 65535
   */
  mayPermit(host: string, port: number): boolean {
    if (this.#open) return true;
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
    if (this.#open) return addresses;
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
export function parseBackendRules(texts: readonly string[]): ParsedRules<BackendRules> {
  const parsed = parseEntries(texts, parseBackendRule);
  return parsed.ok ? { ok: true, rules: new BackendRules(parsed.rules) } : parsed;
}

function hasPort({ fromPort, toPort }: BackendRule, port: number): boolean {
  return fromPort <= port && port <= toPort;
}

function hasAddress(rule: BackendRule, address: IpAddress): boolean {
  return rule.kind === "addresses" && rule.network.contains(address);
}
