import { lookup } from "node:dns/promises";
import { isIP } from "node:net";

/** The addresses of a host, in the order of preference, or why there are none. */
export type Resolution =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | { readonly ok: false; readonly detail: string };

/**
 * Resolves a host the way the machine does (getaddrinfo: /etc/hosts, search domains, nsswitch), as
 * HAProxy and the Rust agent do. A lookup cannot be cancelled, and a name server that is silent takes
 * many seconds, so all that ask for the same name meanwhile share one lookup.
 */
export class Resolver {
  readonly #underway = new Map<string, Promise<Resolution>>();

  /**
   * @param host an IP address or a DNS name
   * @returns its addresses; never rejects. It has no time limit of its own
   */
  resolve(host: string): Promise<Resolution> {
    if (isIP(host) !== 0) return Promise.resolve({ ok: true, addresses: [host] });
    const underway = this.#underway.get(host);
    if (underway !== undefined) return underway;
    const resolution = lookUp(host).finally(() => this.#underway.delete(host));
    this.#underway.set(host, resolution);
    return resolution;
  }
}

async function lookUp(host: string): Promise<Resolution> {
  try {
    const found = await lookup(host, { all: true });
    const addresses = [...new Set(found.map(({ address }) => address))];
    return addresses.length > 0
      ? { ok: true, addresses }
      : { ok: false, detail: "the name has no address" };
  } catch (error) {
    return { ok: false, detail: error instanceof Error ? error.message : String(error) };
  }
}
