import { isIP } from "node:net";
import { parsePort } from "../protocol/host.ts";
import { HostPattern } from "./host_pattern.ts";
import { type Network, parseNetwork } from "./network.ts";
import type { ParsedEntry } from "./parse_entries.ts";

/** One entry of `allow_backends`: where a check may go. */
export type BackendRule =
  & {
    /** The lowest port, 1 to 65535. */
    readonly fromPort: number;
    /** The highest port, at least the lowest. */
    readonly toPort: number;
  }
  & (
    | { readonly kind: "addresses"; readonly network: Network }
    | { readonly kind: "names"; readonly pattern: HostPattern }
  );

const NOT_ACCEPTED =
  "is not an IP address, a network or a host pattern, each with an optional :port or :from-to " +
  "(10.0.0.0/8, [2001:db8::/32]:443, api.internal:443, *.svc.cluster.local:8000-9000)";

const WRONG_PORTS =
  "must have a number from 1 to 65535, or two with a - between, the lower first, after the colon";

const BRACKETS_MISSING =
  "must have the IPv6 network in brackets when a port follows ([2001:db8::/32]:443)";

/** An IPv6 network without brackets, and ports. */
const BARE_WITH_PORTS = /^[^[/]*:[^/]*\/[^/]*:/;

/** An IPv6 address in brackets, its prefix length within or behind them, and ports. */
const BRACKETED = /^\[([^\]/]*:[^\]/]*)(?:(\/[^\]/]*)\]|\](\/[^:]*)?)(?::(.*))?$/s;

/**
 * Reads an IP address, a network or a host pattern, each with an optional `:port` or `:from-to`. Only
 * in brackets can IPv6 have ports: `[2001:db8::/32]:443`, `[2001:db8::]/32:443`; without them every
 * colon belongs to the address.
 *
 * @returns the rule, or a reason that says what is accepted; never throws
 */
export function parseBackendRule(text: string): ParsedEntry<BackendRule> {
  if (BARE_WITH_PORTS.test(text)) return { ok: false, reason: BRACKETS_MISSING };
  const parts = splitPorts(text);
  if (parts === undefined) return { ok: false, reason: NOT_ACCEPTED };
  const { target } = parts;
  const ports = parsePorts(parts.ports);
  if (ports === undefined) return { ok: false, reason: WRONG_PORTS };
  const [beforeSlash = ""] = target.split("/");
  if (isIP(beforeSlash) !== 0) {
    const parsed = parseNetwork(target);
    return parsed.ok
      ? { ok: true, rule: { kind: "addresses", network: parsed.network, ...ports } }
      : parsed;
  }
  const pattern = HostPattern.parse(target);
  return pattern === undefined
    ? { ok: false, reason: NOT_ACCEPTED }
    : { ok: true, rule: { kind: "names", pattern, ...ports } };
}

interface TargetAndPorts {
  readonly target: string;
  readonly ports: string | undefined;
}

function splitPorts(text: string): TargetAndPorts | undefined {
  if (text.startsWith("[")) {
    const [, address, within = "", behind = "", ports] = BRACKETED.exec(text) ?? [];
    return address === undefined ? undefined : { target: address + within + behind, ports };
  }
  const colon = text.indexOf(":");
  return colon < 0 || text.includes(":", colon + 1)
    ? { target: text, ports: undefined }
    : { target: text.slice(0, colon), ports: text.slice(colon + 1) };
}

function parsePorts(
  text: string | undefined,
): Pick<BackendRule, "fromPort" | "toPort"> | undefined {
  if (text === undefined) return { fromPort: 1, toPort: 65535 };
  const dash = text.indexOf("-");
  const fromPort = parsePort(dash < 0 ? text : text.slice(0, dash));
  const toPort = parsePort(text.slice(dash + 1));
  if (fromPort === undefined || toPort === undefined || fromPort > toPort) return undefined;
  return { fromPort, toPort };
}
