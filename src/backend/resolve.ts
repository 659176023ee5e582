import { isIP } from "node:net";
import type { BackendRules } from "../access/rules.ts";
import { within } from "../deadline.ts";
import { LruMap } from "../lru_map.ts";
import type { Verdict } from "../protocol/verdict.ts";
import type { LookUpResult, NameLookUp, PendingLookUp } from "./name_look_up.ts";

/** The addresses that may be connected to, in the order of preference, or why there are none. */
export type Resolution =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | {
    readonly ok: false;
    readonly verdict: Extract<Verdict, { kind: "dns" | "denied" | "local" }>;
  };

/** A resolution that waits for a look-up. */
export interface PendingResolution {
  /** Never rejects. */
  readonly resolution: Promise<Resolution>;
  /** The look-up, where no addresses of the name are known yet. */
  readonly firstLookUp: PendingLookUp | undefined;
}

/**
 * How old an answer may be when a connection must be made, in milliseconds: only checks made at the same moment
 * share one.
 */
const MAX_AGE_TO_CONNECT_MS = 50;

const DENIED: Resolution = { ok: false, verdict: { kind: "denied" } };

/** Resolves hosts to the addresses that may be connected to. */
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
   * @returns its addresses, at once where they are known. For a name not known before there is no time limit
   */
  resolve(
    host: string,
    port: number,
    timeoutMs = Infinity,
    isConnected: (addresses: readonly string[]) => boolean = () => true,
  ): Resolution | PendingResolution {
    if (!this.#rules.mayPermit(host, port)) return DENIED;
    if (isIP(host) !== 0) return this.#permitted(host, port, { ok: true, addresses: [host] });
    const staleAfterMs = Math.min(this.#staleAfterMs, timeoutMs / 4);
    const found = this.#names.find(host, staleAfterMs);
    if (found instanceof Promise) return this.#pending(host, port, found);
    const resolution = this.#permitted(host, port, found);
    if (!resolution.ok || isConnected(resolution.addresses)) return resolution;
    const anew = this.#names.find(host, staleAfterMs, MAX_AGE_TO_CONNECT_MS);
    return anew instanceof Promise ? this.#pending(host, port, anew) : resolution;
  }

  /** @returns the last known addresses of a host that may be connected to, without a look-up */
  known(host: string, port: number): readonly string[] {
    const addresses = isIP(host) === 0 ? this.#names.known(host) : [host];
    return this.#rules.mayPermit(host, port) ? this.#rules.permitted(host, port, addresses) : [];
  }

  #pending(host: string, port: number, found: Promise<LookUpResult>): PendingResolution {
    return {
      resolution: found.then((found) => this.#permitted(host, port, found)),
      firstLookUp: this.#names.firstLookUp(host),
    };
  }

  #permitted(host: string, port: number, found: LookUpResult): Resolution {
    if (!found.ok) {
      const kind = found.fault === "local" ? "local" : "dns";
      return { ok: false, verdict: { kind, detail: found.detail } };
    }
    const addresses = this.#rules.permitted(host, port, found.addresses);
    return addresses.length > 0 ? { ok: true, addresses } : DENIED;
  }
}

/** Names whose last addresses are remembered. */
const MAX_REMEMBERED = 10_000;

/** How old an answer may be before the name is looked up again, in milliseconds, unless `find` wants it fresher. */
const MAX_AGE_MS = 5000;

const OVERDUE: LookUpResult = {
  ok: false,
  detail: "The agent has too many names to look up",
  fault: "local",
};

interface Known {
  answer: Extract<LookUpResult, { ok: true }>;
  /** When it was asked for, in milliseconds of `performance.now()`. */
  askedAt: number;
}

/**
 * The addresses of names. A name is looked up anew every few seconds, so that a backend that has moved is followed.
 * While its name server does not answer, the last answer is used, for a silent name server must not take healthy
 * backends out. Where the agent itself is too busy to look it up, the last answer is used for half a minute; then
 * checks are `local`. Outlives changes of the configuration.
 */
export class DnsCache {
  readonly #names: NameLookUp;
  readonly #known = new LruMap<string, Known>(MAX_REMEMBERED);
  /** Look-ups under way, and when they were begun. */
  readonly #asking = new Map<
    string,
    { readonly since: number; readonly answer: Promise<LookUpResult> }
  >();

  constructor(names: NameLookUp) {
    this.#names = names;
  }

  /**
   * @param staleAfterMs how long a look-up may take before the last known addresses are taken instead
   * @param maxAgeMs how old an answer may be before the name is looked up again, in milliseconds
   * @returns the addresses of a DNS name, at once where they are known; never rejects. For a name not known
   * before there is no time limit
   */
  find(
    name: string,
    staleAfterMs: number,
    maxAgeMs = MAX_AGE_MS,
  ): LookUpResult | Promise<LookUpResult> {
    const known = this.#known.get(name);
    const now = performance.now();
    if (known !== undefined && now - known.askedAt < maxAgeMs) return known.answer;
    const { answer, since } = this.#asking.get(name) ?? this.#ask(name, now);
    if (known === undefined) return answer;
    if (this.#names.isOverdue(name)) return OVERDUE;
    const restMs = since + staleAfterMs - now;
    return restMs <= 0 ? known.answer : within(restMs, answer, known.answer);
  }

  /** @returns the last known addresses of a name, without asking for them */
  known(name: string): readonly string[] {
    return this.#known.get(name)?.answer.addresses ?? [];
  }

  /** @returns the look-up of a name whose addresses are not known, if one is under way */
  firstLookUp(name: string): PendingLookUp | undefined {
    return this.#known.get(name) === undefined ? this.#names.pending(name) : undefined;
  }

  #ask(
    name: string,
    now: number,
  ): { readonly since: number; readonly answer: Promise<LookUpResult> } {
    const answer = this.#names.find(name).then((found) => {
      this.#asking.delete(name);
      return this.#remember(name, found, now);
    });
    const asking = { since: now, answer };
    this.#asking.set(name, asking);
    return asking;
  }

  /** An answer, good or bad, takes the place of what was known; a failure to get one does not. */
  #remember(name: string, found: LookUpResult, askedAt: number): LookUpResult {
    if (found.ok) this.#known.set(name, { answer: found, askedAt });
    else if (found.fault === "name") this.#known.delete(name);
    else return this.#known.get(name)?.answer ?? found;
    return found;
  }
}
