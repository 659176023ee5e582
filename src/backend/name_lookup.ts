import { lookup } from "node:dns/promises";
import { descriptorsLack } from "./own_lack.ts";

/** What a name resolves to. */
export type LookUp =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | {
    readonly ok: false;
    readonly detail: string;
    /** Whose fault it is; only "name" says anything of the name itself. */
    readonly fault: "name" | "name_server" | "own_lack";
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
      return Promise.resolve({ ok: false, detail, fault: "own_lack" });
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
    if (descriptorsLack()) return { ok: false, detail: message, fault: "own_lack" };
    return { ok: false, detail: message, fault: code === "EAI_AGAIN" ? "name_server" : "name" };
  }
}
