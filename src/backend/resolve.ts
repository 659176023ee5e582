import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { BackendRules } from "../access/rules.ts";
import { LruMap } from "../lru_map.ts";
import type { Verdict } from "../protocol/verdict.ts";
import { lacksDescriptors } from "./local_resources.ts";

/** What a name resolves to. */
export type LookUp =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | {
    readonly ok: false;
    readonly detail: string;
    /** Whose fault it is; only "name" says anything of the name itself. */
    readonly fault: "name" | "name_server" | "local";
  };

/**
 * Look-ups at once. Each occupies a thread of Deno's, which has 32 for them, for log lines and for files:
 * names whose server is silent must not take them all.
 */
const MAX_UNDER_WAY = 16;

/** Look-ups that wait for their turn; more are refused. */
const MAX_WAITING = 10_000;

/**
 * Looks names up the way the machine does (getaddrinfo: /etc/hosts, search domains, nsswitch), as HAProxy
 * and the Rust agent do. A look-up cannot be cancelled, and a name server that is silent takes many
 * seconds, so all that ask for the same name meanwhile share one.
 */
export class NameLookup {
  readonly #lookUp: (name: string) => Promise<LookUp>;
  readonly #results = new Map<string, Promise<LookUp>>();
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;

  /** @param lookUp looks one name up; never rejects. @default {getaddrinfo} */
  constructor(lookUp: (name: string) => Promise<LookUp> = getAddrInfo) {
    this.#lookUp = lookUp;
  }

  /** @returns the addresses of a DNS name, each once, best first; never rejects */
  find(name: string): Promise<LookUp> {
    const shared = this.#results.get(name);
    if (shared !== undefined) return shared;
    if (this.#waiting.length >= MAX_WAITING) {
      const detail = "Too many names are being looked up";
      return Promise.resolve({ ok: false, detail, fault: "local" });
    }
    const result = this.#inTurn(name).finally(() => this.#results.delete(name));
    this.#results.set(name, result);
    return result;
  }

  async #inTurn(name: string): Promise<LookUp> {
    if (this.#underWay >= MAX_UNDER_WAY) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#underWay++;
    }
    try {
      return await this.#lookUp(name);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay--;
      else next(); // takes this turn over
    }
  }
}

async function getAddrInfo(name: string): Promise<LookUp> {
  try {
    // Without `verbatim` Deno gives the addresses in the reverse of the machine's order.
    const found = await lookup(name, { all: true, order: "verbatim" });
    const addresses = [...new Set(found.map(({ address }) => address))];
    return addresses.length > 0
      ? { ok: true, addresses }
      : { ok: false, detail: "The name has no address", fault: "name" };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    if (lacksDescriptors()) return { ok: false, detail: message, fault: "local" };
    return { ok: false, detail: message, fault: code === "EAI_AGAIN" ? "name_server" : "name" };
  }
}

/** Names whose last addresses are remembered. */
const MAX_REMEMBERED = 10_000;

/** An answer is not asked for again for so long, in milliseconds, unless somebody wants it newer. */
const MAX_AGE_MS = 5000;

interface Known {
  answer: Extract<LookUp, { ok: true }>;
  /** When it was asked for, in milliseconds of `performance.now()`. */
  askedAt: number;
}

/**
 * The addresses of names: asked for anew every few seconds, so that a backend that has moved is followed;
 * but while a name server does not answer, its last answer stands, for it must not take healthy backends
 * out. Outlives changes of the configuration.
 */
export class DnsCache {
  readonly #names: NameLookup;
  readonly #known = new LruMap<string, Known>(MAX_REMEMBERED);
  /** Look-ups under way, and when they were begun. */
  readonly #asking = new Map<
    string,
    { readonly since: number; readonly answer: Promise<LookUp> }
  >();

  constructor(names: NameLookup) {
    this.#names = names;
  }

  /**
   * @param staleAfterMs how long a look-up may take before the last known addresses are taken instead
   * @param maxAgeMs how old an answer may be that is not asked for again, in milliseconds
   * @returns the addresses of a DNS name, at once where they are known; never rejects. For a name not known
   * before there is no time limit
   */
  find(name: string, staleAfterMs: number, maxAgeMs = MAX_AGE_MS): LookUp | Promise<LookUp> {
    const known = this.#known.get(name);
    const now = performance.now();
    if (known !== undefined && now - known.askedAt < maxAgeMs) return known.answer;
    const { answer, since } = this.#asking.get(name) ?? this.#ask(name, now);
    if (known === undefined) return answer;
    const restMs = since + staleAfterMs - now;
    return restMs <= 0 ? known.answer : within(restMs, answer, known.answer);
  }

  #ask(name: string, now: number): { readonly since: number; readonly answer: Promise<LookUp> } {
    const answer = this.#names.find(name).then((found) => {
      this.#asking.delete(name);
      return this.#remember(name, found, now);
    });
    const asking = { since: now, answer };
    this.#asking.set(name, asking);
    return asking;
  }

  /** An answer, good or bad, takes the place of what was known; a failure to get one does not. */
  #remember(name: string, found: LookUp, askedAt: number): LookUp {
    if (found.ok) this.#known.set(name, { answer: found, askedAt });
    else if (found.fault === "name") this.#known.delete(name);
    else return this.#known.get(name)?.answer ?? found;
    return found;
  }
}

async function within(ms: number, answer: Promise<LookUp>, otherwise: LookUp): Promise<LookUp> {
  const { promise, resolve } = Promise.withResolvers<LookUp>();
  const timer = setTimeout(() => resolve(otherwise), ms);
  try {
    return await Promise.race([answer, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** The addresses that may be connected to, in the order of preference, or why there are none. */
export type Resolution =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | {
    readonly ok: false;
    readonly verdict: Extract<Verdict, { kind: "dns" | "denied" | "local" }>;
  };

/** Where a connection is to be made, only checks that are made at once share a look-up; in milliseconds. */
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

  #permitted(host: string, port: number, found: LookUp): Resolution {
    if (!found.ok) {
      const kind = found.fault === "local" ? "local" : "dns";
      return { ok: false, verdict: { kind, detail: found.detail } };
    }
    const addresses = this.#rules.permitted(host, port, found.addresses);
    return addresses.length > 0 ? { ok: true, addresses } : DENIED;
  }
}
