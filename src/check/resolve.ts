import { isIP } from "node:net";
import type { BackendRules } from "../access/backend_rules.ts";
import type { KnownNames } from "./known_names.ts";
import type { LookUp } from "./name_lookup.ts";
import type { Verdict } from "./verdict.ts";

/** The addresses that may be connected to, in the order of preference, or why there are none. */
export type Resolution =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | {
    readonly ok: false;
    readonly verdict: Extract<Verdict, { kind: "dns" | "denied" | "no_descriptor" }>;
  };

const DENIED: Resolution = { ok: false, verdict: { kind: "denied" } };

/** Resolves hosts and leaves the addresses that may be connected to. */
export class Resolver {
  readonly #rules: BackendRules;
  readonly #names: KnownNames;
  readonly #patienceMs: number;

  /** @param patienceMs after how many milliseconds the last known addresses of a name are taken */
  constructor(rules: BackendRules, names: KnownNames, patienceMs: number) {
    this.#rules = rules;
    this.#names = names;
    this.#patienceMs = patienceMs;
  }

  /**
   * @param host an IP address or a DNS name
   * @param port the TCP port, for the rules
   * @returns its addresses; never rejects. For a name not known before it has no time limit of its own
   */
  async resolve(host: string, port: number): Promise<Resolution> {
    if (!this.#rules.mayPermit(host, port)) return DENIED;
    const found: LookUp = isIP(host) === 0
      ? await this.#names.find(host, this.#patienceMs)
      : { ok: true, addresses: [host] };
    if (!found.ok) {
      const kind = found.fault === "no_descriptor" ? "no_descriptor" : "dns";
      return { ok: false, verdict: { kind, detail: found.detail } };
    }
    const addresses = this.#rules.permitted(host, port, found.addresses);
    return addresses.length > 0 ? { ok: true, addresses } : DENIED;
  }
}
