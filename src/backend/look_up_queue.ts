/** A look-up that takes longer than this, in milliseconds, hangs: its name server is silent, or nearly so. */
export const HANGS_AFTER_MS = 1000;

/**
 * Threads that look-ups may occupy. Deno 2.9.6 has 32 for what blocks; the others are for log lines and
 * files, two at most at a time. While all 32 hang in look-ups, no log line is written.
 */
const MAX_UNDER_WAY = 24;

/** Threads for names without a good answer yet; the rest is kept for names that are answered. */
const MAX_UNPROVEN = 20;

/** Threads for one domain and prospect, so that a silent domain leaves some to others. */
const MAX_OF_DOMAIN = 16;

/** How many look-ups may hang before no name that hung at its last one is tried again. */
const MAX_HANGING = 8;

/** Threads for look-ups made beside one that hangs; at most one a domain. */
const MAX_BESIDE = 4;

/** The family of addresses that is looked up; 0 is both, in one look-up that ends when both are answered. */
export type Family = 0 | 4 | 6;

/** What is known of a name before it is looked up. */
export type Prospect =
  /** Its last look-up was answered soon, well or not. */
  | "answered"
  /** It was not looked up before. */
  | "new"
  /** Its last look-up hung. */
  | "hung"
  /** A look-up of it is under way, and this one is to overtake it. */
  | "beside";

/** The order in which prospects get a free thread. The limits above keep the earlier ones from taking all. */
const ORDER: readonly Prospect[] = ["beside", "new", "hung", "answered"];

/** A look-up that somebody wants. */
export interface WantedLookUp {
  /** The name's parent domain: names of one domain mostly share their name servers. */
  readonly domain: string;
  readonly prospect: Prospect;
  /** @returns what would be looked up if its turn were now */
  readonly family: () => Family;
}

/** A look-up whose turn has come. */
export interface Begun<Found> {
  readonly family: Family;
  readonly found: Promise<Found>;
}

interface UnderWay {
  readonly domain: string;
  readonly prospect: Prospect;
  readonly family: Family;
  /** In milliseconds of `performance.now()`. */
  readonly begunAt: number;
}

interface QueuedLookUp {
  readonly wanted: WantedLookUp;
  readonly begin: () => void;
}

/**
 * Which look-ups are under way, and which is next. A look-up at a silent name server occupies a thread for many
 * seconds. So the look-ups of each prospect have a share of the threads, the smaller the worse the prospect. Within
 * a share, domains take turns.
 */
export class LookUpQueue<Found> {
  readonly #underWay = new Set<UnderWay>();
  /** Those that wait for their turn, by domain, in the order in which they came. */
  readonly #queues: Record<Prospect, Map<string, QueuedLookUp[]>> = {
    answered: new Map(),
    new: new Map(),
    hung: new Map(),
    beside: new Map(),
  };
  #waiting = 0;

  /** How many look-ups wait for their turn. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Begins a look-up in its turn, at once if it may.
   *
   * @param lookUp never rejects; the turn is given back when it ends
   * @returns the look-up, when its turn has come
   */
  add(wanted: WantedLookUp, lookUp: (family: Family) => Promise<Found>): Promise<Begun<Found>> {
    const { promise, resolve } = Promise.withResolvers<Begun<Found>>();
    const begin = () => {
      const { domain, prospect } = wanted;
      const family = wanted.family();
      const underWay = { domain, prospect, family, begunAt: performance.now() };
      this.#underWay.add(underWay);
      const found = lookUp(family).finally(() => {
        this.#underWay.delete(underWay);
        this.admit();
      });
      resolve({ family, found });
    };
    if (this.#mayBegin(wanted)) begin();
    else this.#wait({ wanted, begin });
    return promise;
  }

  /** @returns whether a look-up of the domain hangs */
  hangsIn(domain: string): boolean {
    const hungSince = performance.now() - HANGS_AFTER_MS;
    return this.#count((other) => other.domain === domain && other.begunAt <= hungSince) > 0;
  }

  /** Begins the look-ups that may; to be called when a domain becomes IPv4-first, which lets others of it begin. */
  admit(): void {
    for (const prospect of ORDER) {
      for (let next = this.#next(prospect); next !== undefined; next = this.#next(prospect)) {
        next.begin();
      }
    }
  }

  #wait(queued: QueuedLookUp): void {
    const { domain, prospect } = queued.wanted;
    const queue = this.#queues[prospect].get(domain);
    if (queue === undefined) this.#queues[prospect].set(domain, [queued]);
    else queue.push(queued);
    this.#waiting++;
  }

  /** Takes the first that may begin out of its queue. */
  #next(prospect: Prospect): QueuedLookUp | undefined {
    const queues = this.#queues[prospect];
    if (queues.size === 0 || !this.#hasShareLeft(prospect)) return undefined;
    for (const [domain, queue] of queues) {
      const first = queue[0];
      if (first === undefined || !this.#hasDomainLeft(first.wanted)) continue;
      queue.shift();
      queues.delete(domain);
      if (queue.length > 0) queues.set(domain, queue); // behind the other domains
      this.#waiting--;
      return first;
    }
    return undefined;
  }

  #mayBegin(wanted: WantedLookUp): boolean {
    return this.#hasShareLeft(wanted.prospect) && this.#hasDomainLeft(wanted);
  }

  #hasShareLeft(prospect: Prospect): boolean {
    if (this.#underWay.size >= MAX_UNDER_WAY) return false;
    if (prospect === "answered") return true;
    if (this.#count((other) => other.prospect !== "answered") >= MAX_UNPROVEN) return false;
    if (prospect === "new") return true;
    if (prospect === "beside") {
      return this.#count((other) => other.prospect === "beside") < MAX_BESIDE;
    }
    const hungSince = performance.now() - HANGS_AFTER_MS;
    const hangs = (other: UnderWay) => other.prospect === "hung" || other.begunAt <= hungSince;
    return this.#count(hangs) < MAX_HANGING;
  }

  #hasDomainLeft({ domain, prospect, family: familyOf }: WantedLookUp): boolean {
    const family = familyOf();
    const alike = this.#count((other) =>
      other.domain === domain && other.prospect === prospect && other.family === family
    );
    return alike < (prospect === "beside" ? 1 : MAX_OF_DOMAIN);
  }

  #count(is: (underWay: UnderWay) => boolean): number {
    let count = 0;
    for (const underWay of this.#underWay) if (is(underWay)) count++;
    return count;
  }
}
