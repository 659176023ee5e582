import type { LookUp, NameLookup } from "./name_lookup.ts";

/** Names whose last addresses are remembered; the one longest not resolved goes. */
const MAX_REMEMBERED = 10_000;

/**
 * Finds the addresses of names, and remembers them: a name server that does not answer must not take
 * healthy backends out. It outlives changes of the configuration.
 */
export class KnownNames {
  readonly #names: NameLookup;
  readonly #lastKnown = new Map<string, LookUp>();

  constructor(names: NameLookup) {
    this.#names = names;
  }

  /**
   * @param patienceMs after how many milliseconds the last known addresses are taken instead
   * @returns the addresses of a DNS name; never rejects. For a name not known before there is no time limit
   */
  async find(name: string, patienceMs: number): Promise<LookUp> {
    const finding = this.#names.find(name).then((found) => this.#remember(name, found));
    const known = this.#lastKnown.get(name);
    if (known === undefined) return await finding;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<LookUp>((resolve) => {
      timer = setTimeout(() => resolve(known), patienceMs);
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
