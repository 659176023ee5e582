import { type Network, parseIpAddress, parseNetwork } from "./network.ts";

/** One entry of a list, or why it is wrong: the end of a sentence that begins with the entry. */
export type ParsedEntry<Rule> =
  | { readonly ok: true; readonly rule: Rule }
  | { readonly ok: false; readonly reason: string };

/** All entries of a list, or one sentence per wrong entry. */
type ParsedEntries<Rule> =
  | { readonly ok: true; readonly rules: readonly Rule[] }
  | { readonly ok: false; readonly mistakes: readonly string[] };

/** Reads every entry of a list, so that all mistakes come at once. */
export function parseEntries<Rule>(
  texts: readonly string[],
  parse: (text: string) => ParsedEntry<Rule>,
): ParsedEntries<Rule> {
  const rules: Rule[] = [];
  const mistakes: string[] = [];
  for (const text of texts) {
    const entry = parse(text);
    if (entry.ok) rules.push(entry.rule);
    else mistakes.push(`${JSON.stringify(text)} ${entry.reason}`);
  }
  return mistakes.length > 0 ? { ok: false, mistakes } : { ok: true, rules };
}

/** The rules, or one sentence per wrong entry. */
type ParsedClientRules =
  | { readonly ok: true; readonly rules: ClientRules }
  | { readonly ok: false; readonly mistakes: readonly string[] };

/** Who may ask for checks. */
export class ClientRules {
  readonly #networks: readonly Network[];

  /** @param networks from where clients may come; none at all means from everywhere */
  constructor(networks: readonly Network[]) {
    this.#networks = networks;
  }

  /** Whether everybody may ask, because no rule was given. */
  get open(): boolean {
    return this.#networks.length === 0;
  }

  /**
   * @param address the IP address of a connection's other end, without brackets. What is none (the
   * path of a Unix socket, or nothing) is in no network
   * @returns whether that client may ask
   */
  allows(address: string): boolean {
    if (this.open) return true;
    const parsed = parseIpAddress(address);
    return parsed !== undefined && this.#networks.some((network) => network.contains(parsed));
  }
}

/**
 * Reads the entries of `allow_clients`: IP addresses and networks.
 *
 * @param texts the entries, without blanks around them; none means that everybody may ask
 */
export function parseClientRules(texts: readonly string[]): ParsedClientRules {
  const parsed = parseEntries(texts, (text) => {
    const entry = parseNetwork(text);
    return entry.ok ? { ok: true, rule: entry.network } : entry;
  });
  return parsed.ok ? { ok: true, rules: new ClientRules(parsed.rules) } : parsed;
}
