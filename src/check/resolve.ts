import { isIP } from "node:net";
import type { BackendRules } from "../access/backend_rules.ts";
import type { LookUp, NameLookup } from "./name_lookup.ts";
import type { Verdict } from "./verdict.ts";

/** The addresses that may be connected to, in the order of preference, or why there are none. */
export type Resolution =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | {
    readonly ok: false;
    readonly verdict: Extract<Verdict, { kind: "dns" | "denied" | "no_descriptor" }>;
  };

/** Names whose last addresses are remembered; the one longest not resolved goes. */
const MAX_REMEMBERED = 10_000;

const DENIED: Resolution = { ok: false, verdict: { kind: "denied" } };

/** Resolves hosts and leaves the addresses that may be connected to. */
export class Resolver {
  readonly #rules: BackendRules;
  readonly #names: NameLookup;
  readonly #patienceMs: number;
  readonly #lastKnown = new Map<string, LookUp>();

  /**
   * @param patienceMs after how many milliseconds the last known addresses of a name are taken instead: a
   * name server that does not answer must not take healthy backends out
   */
  constructor(rules: BackendRules, names: NameLookup, patienceMs: number) {
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
      ? await this.#find(host)
      : { ok: true, addresses: [host] };
    if (!found.ok) {
      const kind = found.fault === "no_descriptor" ? "no_descriptor" : "dns";
      return { ok: false, verdict: { kind, detail: found.detail } };
    }
    const addresses = this.#rules.permitted(host, port, found.addresses);
    return addresses.length > 0 ? { ok: true, addresses } : DENIED;
  }

  async #find(name: string): Promise<LookUp> {
    const finding = this.#names.find(name).then((found) => this.#remember(name, found));
    const known = this.#lastKnown.get(name);
    if (known === undefined) return await finding;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<LookUp>((resolve) => {
      timer = setTimeout(() => resolve(known), this.#patienceMs);
    });
    try {
      return await Promise.race([finding, patience]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** An answer, good or bad, takes the place of what was known; a failure to get one does not. */
  #remember(name: string, found: LookUp): LookUp {
    if (!found.ok && found.fault !== "name") return this.#lastKnown.get(name) ?? found;
    this.#lastKnown.delete(name);
    if (!found.ok) return found;
    this.#lastKnown.set(name, found);
    const [oldest] = this.#lastKnown.keys();
    if (this.#lastKnown.size > MAX_REMEMBERED && oldest !== undefined) {
      this.#lastKnown.delete(oldest);
    }
    return found;
  }
}
