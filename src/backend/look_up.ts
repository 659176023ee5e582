import { lookup } from "node:dns/promises";
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

/** Addresses of which kind are asked for: 0 is both, in one look-up that ends when both are answered. */
export type Family = 0 | 4;

/** Looks one name up; never rejects. It occupies a thread until it ends, and cannot be cancelled. */
export type LookUpName = (name: string, family: Family) => Promise<LookUp>;

/**
 * Looks a name up the way the machine does (/etc/hosts, search domains, nsswitch), as HAProxy and the Rust
 * agent do.
 *
 * @returns its addresses, each once, best first; never rejects
 */
export async function getAddrInfo(name: string, family: Family): Promise<LookUp> {
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
    const isMissing = code !== "EAI_AGAIN" && !hidesFailures(hostsLine());
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

/** Empty on machines without such a file. */
function hostsLine(): string {
  try {
    const text = Deno.readTextFileSync("/etc/nsswitch.conf");
    return /^\s*hosts:([^#\n]*)/m.exec(text)?.[1] ?? "";
  } catch {
    return "";
  }
}
