import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { BackendRules } from "../access/backend_rules.ts";
import type { Verdict } from "./verdict.ts";

/** The addresses that may be connected to, in the order of preference, or why there are none. */
export type Resolution =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | { readonly ok: false; readonly verdict: Extract<Verdict, { kind: "dns" | "denied" }> };

/** What a name resolves to, before the rules. */
type LookUp =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | { readonly ok: false; readonly detail: string };

/**
 * Resolves a host the way the machine does (getaddrinfo: /etc/hosts, search domains, nsswitch), as
 * HAProxy and the Rust agent do, and leaves the addresses that may be connected to. A lookup cannot be
 * cancelled, and a name server that is silent takes many seconds, so all that ask for the same name
 * meanwhile share one lookup.
 */
export class Resolver {
  readonly #rules: BackendRules;
  readonly #underWay = new Map<string, Promise<LookUp>>();

  constructor(rules: BackendRules) {
    this.#rules = rules;
  }

  /**
   * @param host an IP address or a DNS name
   * @param port the TCP port, for the rules
   * @returns its addresses; never rejects. It has no time limit of its own
   */
  async resolve(host: string, port: number): Promise<Resolution> {
    if (!this.#rules.mayPermit(host, port)) return DENIED;
    const found = isIP(host) === 0
      ? await this.#lookUp(host)
      : { ok: true, addresses: [host] } as const;
    if (!found.ok) return { ok: false, verdict: { kind: "dns", detail: found.detail } };
    const addresses = this.#rules.permitted(host, port, found.addresses);
    return addresses.length > 0 ? { ok: true, addresses } : DENIED;
  }

  #lookUp(host: string): Promise<LookUp> {
    const underWay = this.#underWay.get(host);
    if (underWay !== undefined) return underWay;
    const started = lookUp(host).finally(() => this.#underWay.delete(host));
    this.#underWay.set(host, started);
    return started;
  }
}

const DENIED: Resolution = { ok: false, verdict: { kind: "denied" } };

async function lookUp(host: string): Promise<LookUp> {
  try {
    const found = await lookup(host, { all: true });
    const addresses = [...new Set(found.map(({ address }) => address))];
    return addresses.length > 0
      ? { ok: true, addresses }
      : { ok: false, detail: "The name has no address" };
  } catch (error) {
    return { ok: false, detail: error instanceof Error ? error.message : String(error) };
  }
}
