import { within } from "../deadline.ts";
import { LruMap } from "../lru_map.ts";
import type { LookUp, NameLookup, PendingLookUp } from "./name_lookup.ts";

/** Names whose last addresses are remembered. */
const MAX_REMEMBERED = 10_000;

/** How long an answer is used before the name is asked for again, in milliseconds, unless `find` wants it fresher. */
const MAX_AGE_MS = 5000;

const OVERDUE: LookUp = {
  ok: false,
  detail: "The agent has too many names to look up",
  fault: "local",
};

interface Known {
  answer: Extract<LookUp, { ok: true }>;
  /** When it was asked for, in milliseconds of `performance.now()`. */
  askedAt: number;
}

/**
 * The addresses of names: asked for anew every few seconds, so that a backend that has moved is followed;
 * but while a name server does not answer, its last answer stands, for it must not take healthy backends
 * out. It does not stand for long where the agent is too busy to ask. Outlives changes of the configuration.
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
    if (this.#names.isOverdue(name)) return OVERDUE;
    const restMs = since + staleAfterMs - now;
    return restMs <= 0 ? known.answer : within(restMs, answer, known.answer);
  }

  /** @returns the last known addresses of a name, without asking for them */
  known(name: string): readonly string[] {
    return this.#known.get(name)?.answer.addresses ?? [];
  }

  /** @returns the look-up of a name of which nothing is known, if there is one */
  firstLookUp(name: string): PendingLookUp | undefined {
    return this.#known.get(name) === undefined ? this.#names.pending(name) : undefined;
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
