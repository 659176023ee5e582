import { isIP } from "node:net";
import type { BackendRules } from "../access/rules.ts";
import type { Verdict } from "../protocol/verdict.ts";
import type { DnsCache } from "./dns_cache.ts";
import type { LookUp, PendingLookUp } from "./name_lookup.ts";

/** The addresses that may be connected to, in the order of preference, or why there are none. */
export type Resolution =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | {
    readonly ok: false;
    readonly verdict: Extract<Verdict, { kind: "dns" | "denied" | "local" }>;
  };

/**
 * How old an answer may be when a connection must be made, in milliseconds: only checks made at the same moment
 * share one.
 */
const MAX_AGE_TO_CONNECT_MS = 50;

const DENIED: Resolution = { ok: false, verdict: { kind: "denied" } };

/** Resolves hosts and leaves the addresses that may be connected to. */
export class Resolver {
  readonly #rules: BackendRules;
  readonly #names: DnsCache;
  readonly #staleAfterMs: number;

  /** @param staleAfterMs how long a look-up may take before the last known addresses of a name are taken */
  constructor(rules: BackendRules, names: DnsCache, staleAfterMs: number) {
    this.#rules = rules;
    this.#names = names;
    this.#staleAfterMs = staleAfterMs;
  }

  /**
   * @param host an IP address or a DNS name
   * @param port the TCP port, for the rules
   * @param timeoutMs how long the check may take: most of it is for what comes after. @default {Infinity}
   * @param isConnected whether there is a connection to one of the addresses: where one is to be made, the
   * name is looked up anew. @default {() => true}
   * @returns its addresses, at once where they are known; never rejects. For a name not known before it has
   * no time limit of its own
   */
  resolve(
    host: string,
    port: number,
    timeoutMs = Infinity,
    isConnected: (addresses: readonly string[]) => boolean = () => true,
  ): Resolution | Promise<Resolution> {
    if (!this.#rules.mayPermit(host, port)) return DENIED;
    if (isIP(host) !== 0) return this.#permitted(host, port, { ok: true, addresses: [host] });
    const staleAfterMs = Math.min(this.#staleAfterMs, timeoutMs / 4);
    const found = this.#names.find(host, staleAfterMs);
    if (found instanceof Promise) return found.then((found) => this.#permitted(host, port, found));
    const resolution = this.#permitted(host, port, found);
    if (!resolution.ok || isConnected(resolution.addresses)) return resolution;
    const anew = this.#names.find(host, staleAfterMs, MAX_AGE_TO_CONNECT_MS);
    return anew instanceof Promise
      ? anew.then((found) => this.#permitted(host, port, found))
      : resolution;
  }

  /** @returns the last known addresses of a host that may be connected to, without a look-up */
  known(host: string, port: number): readonly string[] {
    const addresses = isIP(host) === 0 ? this.#names.known(host) : [host];
    return this.#rules.mayPermit(host, port) ? this.#rules.permitted(host, port, addresses) : [];
  }

  /** @returns the look-up of a host of which nothing is known, if there is one */
  firstLookUp(host: string): PendingLookUp | undefined {
    return this.#names.firstLookUp(host);
  }

  #permitted(host: string, port: number, found: LookUp): Resolution {
    if (!found.ok) {
      const kind = found.fault === "local" ? "local" : "dns";
      return { ok: false, verdict: { kind, detail: found.detail } };
    }
    const addresses = this.#rules.permitted(host, port, found.addresses);
    return addresses.length > 0 ? { ok: true, addresses } : DENIED;
  }
}
