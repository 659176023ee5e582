import { isIP } from "node:net";
import { isBrokenIPv4, isOldIPv4Spelling, parseHost } from "../protocol/host.ts";

const WILDCARD = "*.";

/** DNS names: a single one, or with {@linkcode WILDCARD} before it all those below it. */
export class HostPattern {
  /** The single name, or what the names end with, its dot included. */
  readonly #end: string;
  readonly #exact: boolean;

  private constructor(end: string, exact: boolean) {
    this.#end = end;
    this.#exact = exact;
  }

  /**
   * Reads a DNS name (`api.internal`) or `*.` and one (`*.svc.cluster.local`). A `*` stands nowhere
   * else; alone it is not taken either, as it would still not cover requests by IP address.
   *
   * @returns the pattern, or `undefined` when the text is none; never throws
   */
  static parse(text: string): HostPattern | undefined {
    if (!text.startsWith(WILDCARD)) {
      const name = parseHost(text);
      return name === undefined || isIP(name) !== 0 || isBrokenIPv4(name)
        ? undefined
        : new HostPattern(comparable(name), true);
    }
    // `*.1` is for names that end in a number; part of an address is no pattern.
    const below = text.slice(WILDCARD.length);
    if (below.includes(".") && (isOldIPv4Spelling(below) || isBrokenIPv4(below))) return undefined;
    const name = below === "" ? undefined : parseHost(`a.${below}`);
    return name === undefined ? undefined : new HostPattern(comparable(name.slice(1)), false);
  }

  /**
   * Whether the name is one of the pattern's. Capitals and the dot at the end of an absolute name
   * make no difference; `*.` stands for one label or more.
   *
   * @param host a DNS name or an IP address; the latter never matches
   */
  matches(host: string): boolean {
    if (isIP(host) !== 0) return false;
    const name = comparable(host);
    return this.#exact ? name === this.#end : name.endsWith(this.#end);
  }
}

function comparable(name: string): string {
  return (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
}
