import { lookup } from "node:dns/promises";
import { within } from "../deadline.ts";
import { LruMap } from "../lru_map.ts";
import { lacksDescriptors } from "./local_resources.ts";
import {
  type Family,
  HANGS_AFTER_MS,
  LookUpQueue,
  type Prospect,
  type WantedLookUp,
} from "./look_up_queue.ts";

/** What a name resolves to. */
export type LookUpResult =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | {
    readonly ok: false;
    readonly detail: string;
    /** Whose fault it is; only "name" says anything of the name itself. */
    readonly fault: "name" | "name_server" | "local";
  };

/** Looks one name up; never rejects. It occupies a thread until it ends, and cannot be cancelled. */
type LookUpName = (name: string, family: Family) => Promise<LookUpResult>;

/** How many look-ups may wait for their turn; more are refused. */
const MAX_WAITING = 10_000;

/** Names whose last look-up is remembered, and domains that do not answer for IPv6. */
const MAX_REMEMBERED = 10_000;

/**
 * How long a look-up of both families may take, in milliseconds, before IPv4 is also looked up alone: some load
 * balancers and firewalls drop the question for IPv6, and a look-up of both waits for its answer in vain.
 */
const IPV4_ALONE_AFTER_MS = 300;

/** How long names of such a domain are then looked up for IPv4 first, in milliseconds. */
const IPV4_FIRST_MS = 300_000;

/** How long a name may wait for its turn before its last known addresses are given up, in milliseconds. */
const OVERDUE_AFTER_MS = 30_000;

/** A look-up of a name that has been asked for. */
export class PendingLookUp {
  readonly answer: Promise<LookUpResult>;
  readonly #prospect: Prospect;
  readonly #askedAt = performance.now();
  #begunAt: number | undefined;
  #endedAt: number | undefined;

  /** @param find gives the answer, and calls when the look-up begins */
  constructor(prospect: Prospect, find: (onBegin: () => void) => Promise<LookUpResult>) {
    this.#prospect = prospect;
    const found = find(() => this.#begunAt = performance.now());
    this.answer = found.finally(() => this.#endedAt = performance.now());
  }

  /** Whether it has taken so long that its name server counts as silent. */
  get hangs(): boolean {
    const now = this.#endedAt ?? performance.now();
    return now - (this.#begunAt ?? now) >= HANGS_AFTER_MS;
  }

  /**
   * How long it has waited for its turn since a moment of `performance.now()`, in milliseconds. 0 if the name
   * hung before or hangs now: then it is not the agent that is to blame.
   */
  queuedMs(since: number): number {
    if (this.#prospect === "hung" || this.hangs) return 0;
    const begunAt = this.#begunAt ?? performance.now();
    return Math.max(0, begunAt - Math.max(since, this.#askedAt));
  }
}

/** What the last look-up of a name was like. */
interface Past {
  readonly prospect: "answered" | "hung";
  /** The IPv4 addresses that are known. */
  readonly ipv4: readonly string[];
  /** Whether IPv6 addresses are known. */
  readonly ipv6: boolean;
}

/**
 * Looks names up. A look-up cannot be cancelled, and a name server that is silent takes many seconds, so all
 * that ask for the same name meanwhile share one, and look-ups take turns.
 */
export class NameLookUp {
  readonly #lookUp: LookUpName;
  readonly #queue = new LookUpQueue<LookUpResult>();
  readonly #pending = new Map<string, PendingLookUp>();
  readonly #past = new LruMap<string, Past>(MAX_REMEMBERED);
  /** Domains whose names are looked up for IPv4 first, and until when, in milliseconds of `performance.now()`. */
  readonly #ipv4First = new LruMap<string, number>(MAX_REMEMBERED);

  /** @default {getAddrInfo} */
  constructor(lookUp: LookUpName = getAddrInfo) {
    this.#lookUp = lookUp;
  }

  /** @returns the addresses of a DNS name, each once, best first; never rejects */
  find(name: string): Promise<LookUpResult> {
    const shared = this.#pending.get(name);
    if (shared !== undefined) return shared.answer;
    if (this.#queue.waiting >= MAX_WAITING) {
      const detail = "Too many names are being looked up";
      return Promise.resolve({ ok: false, detail, fault: "local" });
    }
    const past = this.#past.get(name);
    const prospect = past?.prospect ?? "new";
    const pending = new PendingLookUp(prospect, async (onBegin) => {
      const looked = await this.#find(name, prospect, onBegin);
      const found = await this.#withKnown(name, prospect, looked);
      this.#pending.delete(name);
      const known = found.ok
        ? byFamily(found.addresses)
        : found.fault === "name"
        ? undefined
        : past;
      const { ipv4 = [], ipv6 = false } = known ?? {};
      this.#past.set(name, { prospect: pending.hangs ? "hung" : "answered", ipv4, ipv6 });
      return found;
    });
    this.#pending.set(name, pending);
    return pending.answer;
  }

  /** @returns the look-up of a name that is under way or waits for its turn */
  pending(name: string): PendingLookUp | undefined {
    return this.#pending.get(name);
  }

  /** Whether a name has waited for its turn for too long, and not because its domain's name server is silent. */
  isOverdue(name: string): boolean {
    const queuedMs = this.#pending.get(name)?.queuedMs(-Infinity) ?? 0;
    return queuedMs > OVERDUE_AFTER_MS && !this.#queue.hangsIn(domainOf(name));
  }

  async #find(name: string, prospect: Prospect, onBegin: () => void): Promise<LookUpResult> {
    const domain = domainOf(name);
    const lookUp = (family: Family) => this.#lookUp(name, family);
    const family = () => this.#firstFamily(name, domain);
    const begun = await this.#queue.add({ domain, prospect, family }, (family) => {
      onBegin();
      // One name of the domain tries whether IPv6 is answered again; the others wait for what it finds.
      if (family === 0 && this.#ipv4First.get(domain) !== undefined) this.#putIpv4First(domain);
      return lookUp(family);
    });
    if (begun.family === 4) {
      const found = await begun.found;
      if (found.ok || found.fault !== "name") return found;
      // It may have IPv6 addresses.
      const both = await this.#queue.add({ domain, prospect, family: () => 0 }, lookUp);
      return await both.found;
    }
    const soon = await within(IPV4_ALONE_AFTER_MS, begun.found, undefined);
    if (soon === undefined) return await this.#orIpv4(name, domain, begun.found);
    this.#ipv4First.delete(domain);
    return soon;
  }

  /** @returns what a look-up of both families finds, or the IPv4 addresses if they are found sooner */
  async #orIpv4(name: string, domain: string, both: Promise<LookUpResult>): Promise<LookUpResult> {
    if (this.#past.get(name)?.ipv6) return await both; // IPv4 alone would lose the known IPv6 addresses
    let ended = false;
    void both.then(() => ended = true);
    const beside: WantedLookUp = { domain, prospect: "beside", family: () => 4 };
    const ipv4 = this.#queue.add(beside, () => ended ? both : this.#lookUp(name, 4))
      .then(async ({ found }) => {
        const ipv4 = await found;
        if (!ipv4.ok || ended) return await both;
        this.#putIpv4First(domain);
        this.#queue.admit();
        // If IPv6 is answered after all, it was merely slow.
        void both.then((found) => {
          if (found.ok && found.addresses.some(isIpv6)) this.#ipv4First.delete(domain);
        });
        return ipv4;
      });
    return await Promise.race([both, ipv4]);
  }

  /**
   * Of both families at once glibc says that there is no address where the name server has failed for one (SERVFAIL,
   * REFUSED), and knows that there is none of the other. So what was known and is gone is asked for by itself.
   */
  async #withKnown(name: string, prospect: Prospect, found: LookUpResult): Promise<LookUpResult> {
    const { ipv4 = [], ipv6 = false } = this.#past.get(name) ?? {};
    const addresses = found.ok ? found.addresses : [];
    if (!found.ok && found.fault !== "name") return found;
    const gone: Family[] = [];
    if (ipv4.length > 0 && addresses.every(isIpv6)) gone.push(4);
    if (ipv6 && !found.ok) gone.push(6);
    for (const family of gone) {
      const wanted: WantedLookUp = { domain: domainOf(name), prospect, family: () => family };
      const begun = await this.#queue.add(wanted, () => this.#lookUp(name, family));
      const alone = await begun.found;
      if (alone.ok) return { ok: true, addresses: [...addresses, ...alone.addresses] };
      if (alone.fault === "name") continue;
      return found.ok ? { ok: true, addresses: [...addresses, ...ipv4] } : alone;
    }
    return found;
  }

  /** IPv4 where the domain's name server is silent for IPv6, unless the name is known to have IPv6 addresses. */
  #firstFamily(name: string, domain: string): Family {
    const until = this.#ipv4First.get(domain);
    if (until === undefined || this.#past.get(name)?.ipv6) return 0;
    return performance.now() < until ? 4 : 0;
  }

  #putIpv4First(domain: string): void {
    this.#ipv4First.set(domain, performance.now() + IPV4_FIRST_MS);
  }
}

/** @returns what follows the first label of a name */
function domainOf(name: string): string {
  const dot = name.indexOf(".");
  return dot < 0 ? "" : name.slice(dot + 1).toLowerCase();
}

function isIpv6(address: string): boolean {
  return address.includes(":");
}

function byFamily(addresses: readonly string[]): Pick<Past, "ipv4" | "ipv6"> {
  const ipv4 = addresses.filter((address) => !isIpv6(address));
  return { ipv4, ipv6: ipv4.length < addresses.length };
}

/**
 * Looks a name up the way the machine does (/etc/hosts, search domains, nsswitch), as HAProxy and the Rust
 * agent do.
 *
 * @returns its addresses, each once, best first; never rejects
 */
async function getAddrInfo(name: string, family: Family): Promise<LookUpResult> {
  const begunAt = performance.now();
  try {
    // Without `verbatim` Deno gives the addresses in the reverse of the machine's order.
    const found = await lookup(name, { all: true, family, order: "verbatim" });
    const addresses = [...new Set(found.map(({ address }) => address))];
    return addresses.length > 0
      ? { ok: true, addresses }
      : { ok: false, detail: "The name has no address", fault: "name" };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    if (lacksDescriptors()) return { ok: false, detail: message, fault: "local" };
    // Where a name server was silent, glibc takes the next search domain's word.
    const hung = performance.now() - begunAt >= HANGS_AFTER_MS;
    const isMissing = code !== "EAI_AGAIN" && !hung && !hidesFailures(hostsLine());
    return { ok: false, detail: message, fault: isMissing ? "name" : "name_server" };
  }
}

/**
 * Whether the machine says that a name does not exist although its name server has failed: the last module of
 * `hosts:` that is asked decides, so one behind DNS that does not know the name (`files dns myhostname`, as RHEL
 * has it) covers up that DNS had no answer (nsswitch.conf(5)).
 *
 * @param hosts the modules of `hosts:` and their actions
 */
export function hidesFailures(hosts: string): boolean {
  const [, behind = ""] = /^.*\b(?:dns|resolve)\b(.*)$/.exec(hosts.toLowerCase()) ?? [];
  const isLast = behind.replaceAll(/\[.*?\]/g, "").trim() === "";
  return !isLast && !/^\s*\[[^\]]*!success=return/.test(behind);
}

/** @returns the modules of `hosts:` in nsswitch.conf; empty on machines without such a file */
function hostsLine(): string {
  try {
    const text = Deno.readTextFileSync("/etc/nsswitch.conf");
    return /^\s*hosts:([^#\n]*)/m.exec(text)?.[1] ?? "";
  } catch {
    return "";
  }
}
