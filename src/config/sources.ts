import { isIP } from "node:net";
import { parse, TomlError } from "smol-toml";
import { suggest } from "./kinds.ts";
import { ENV_PREFIX } from "./settings.ts";

/** One value of a TOML file, or an empty table. */
export interface TomlEntry {
  /** The names that lead to it: `["tls", "edge", "ca_file"]`. */
  readonly path: readonly string[];
  /** For an empty table {@linkcode EMPTY_TABLE}. */
  readonly value: unknown;
  /** Where it stands, for messages: `agent.toml line 3`. */
  readonly source: string;
}

/** Stands for a table without keys: its name alone may mean something (`[tls.public]`). */
export const EMPTY_TABLE = {};

/** The entries of a TOML file, or why it is none. */
export type TomlFile =
  | { readonly ok: true; readonly entries: readonly TomlEntry[] }
  | { readonly ok: false; readonly mistake: string };

/**
 * Reads the text of a TOML file into its values. Tables are taken apart; an array is one value.
 *
 * @param name the file's name, for messages
 */
export function readToml(text: string, name: string): TomlFile {
  try {
    const lines = keyLines(text);
    const entries = [...leaves(parse(text), [])].map(({ path, value }) => {
      const line = lines.get(path.join("\0"));
      return { path, value, source: line === undefined ? name : `${name} line ${line}` };
    });
    return { ok: true, entries };
  } catch (error) {
    // The parser calls itself for each table within a table.
    if (error instanceof RangeError) return { ok: false, mistake: `${name}: nested too deeply` };
    if (!(error instanceof TomlError)) throw error;
    const [what = ""] = error.message.split("\n");
    const reason = what.replace("Invalid TOML document: ", "");
    return { ok: false, mistake: `${name} line ${error.line}: ${reason}` };
  }
}

function* leaves(
  table: object,
  above: readonly string[],
): Generator<{ readonly path: readonly string[]; readonly value: unknown }> {
  for (const [key, value] of Object.entries(table)) {
    const path = [...above, key];
    if (!isTable(value)) yield { path, value };
    else if (Object.keys(value).length === 0) yield { path, value: EMPTY_TABLE };
    else yield* leaves(value, path);
  }
}

function isTable(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}

const KEY = String.raw`[A-Za-z0-9_-]+|"[^"]*"|'[^']*'`;
const TABLE_LINE = new RegExp(String.raw`^\s*\[\s*((?:${KEY})(?:\s*\.\s*(?:${KEY}))*)\s*\]`);
const KEY_LINE = new RegExp(String.raw`^\s*((?:${KEY})(?:\s*\.\s*(?:${KEY}))*)\s*=`);

/** @returns the line of each key, which the parser does not tell; keys that are not found are left out */
function keyLines(text: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  let table: readonly string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const [, header] = TABLE_LINE.exec(line) ?? [];
    const [, key] = KEY_LINE.exec(line) ?? [];
    if (header !== undefined) {
      table = keyParts(header);
      lines.set(table.join("\0"), index + 1);
    } else if (key !== undefined) lines.set([...table, ...keyParts(key)].join("\0"), index + 1);
  }
  return lines;
}

function keyParts(key: string): readonly string[] {
  return (key.match(new RegExp(KEY, "g")) ?? []).map((part) => part.replace(/^["']|["']$/g, ""));
}

/** The variables of an environment without those that Kubernetes has added. */
export interface SeparatedEnvironment {
  readonly environment: Readonly<Record<string, string>>;
  /** One line for each Service whose links are left out. */
  readonly warnings: readonly string[];
}

/** `tcp://10.96.12.34:9090`: the value of a service link, which no setting accepts. */
const LINK = /^(?:tcp|udp|sctp):\/\/(?:\[([0-9a-f:.]+)\]|([0-9.]+)):\d{1,5}$/i;

/** Names whose value is a link, without {@linkcode ENV_PREFIX}, which is (the beginning of) the Service's name. */
const NAMED_FOR_LINK = /^(.*?)_?PORT(?:_\d+_(?:TCP|UDP|SCTP))?$/;

/** Names whose value is a part of a link: an address, a port, a protocol. */
const NAMED_FOR_PART =
  /^(.*?)_?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)_(?:PROTO|PORT|ADDR))$/;

/**
 * Takes out service links: the variables that Kubernetes sets in each container for the Services of its namespace.
 * Those of a Service called haproxy-agent, or haproxy-agent-metrics, begin like the agent's own variables, and
 * `HAPROXY_AGENT_METRICS_PORT` even is one.
 *
 * @param known the agent's own variables, without {@linkcode ENV_PREFIX}: one of these is taken out only when
 * its value is a link
 */
export function withoutServiceLinks(
  environment: Readonly<Record<string, string>>,
  known: readonly string[],
): SeparatedEnvironment {
  const links = Object.entries(environment).flatMap(([name, value]) => {
    const service = serviceOf(name, value, known);
    return service === undefined ? [] : [{ name, service }];
  });
  const left = new Set(links.map(({ name }) => name));
  return {
    environment: Object.fromEntries(
      Object.entries(environment).filter(([name]) => !left.has(name)),
    ),
    warnings: Array.from(
      Map.groupBy(links, ({ service }) => service),
      ([service, links]) =>
        `${links.map(({ name }) => name).sort().join(", ")}: left out, Kubernetes has set ` +
        `${links.length === 1 ? "it" : "them"} for the Service ${service} ` +
        "(enableServiceLinks: false in the pod's spec keeps them away)",
    ),
  };
}

/** @returns the name of the Service that a variable is a link to; `undefined` for one that is none */
function serviceOf(name: string, value: string, known: readonly string[]): string | undefined {
  if (!name.startsWith(ENV_PREFIX)) return undefined;
  const rest = name.slice(ENV_PREFIX.length);
  const hasLink = isLink(value);
  if (known.includes(rest) && !hasLink) return undefined;
  const [, service] = (hasLink ? NAMED_FOR_LINK : NAMED_FOR_PART).exec(rest) ?? [];
  if (service === undefined) return undefined;
  return (ENV_PREFIX + service).replace(/_$/, "").toLowerCase().replaceAll("_", "-");
}

function isLink(value: string): boolean {
  const [, six, four] = LINK.exec(value) ?? [];
  return isIP(six ?? four ?? "") !== 0;
}

/**
 * @param known the agent's own variables, without {@linkcode ENV_PREFIX}
 * @returns a warning for each variable that begins like the agent's own and is none of them. It is no mistake: other
 * programs may use such names
 */
export function unknownVariables(
  environment: Readonly<Record<string, string>>,
  known: readonly string[],
): string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith(ENV_PREFIX))
    .map((name) => name.slice(ENV_PREFIX.length))
    .filter((name) => !known.includes(name))
    .map((name) => `${ENV_PREFIX}${name}: unknown variable${suggest(name, known, ENV_PREFIX)}`);
}

/**
 * @param names variables
 * @param read gives the value of one; throws where that is no text
 * @returns those that are set to something that is no text: `Deno.env.toObject` leaves them out
 */
export function unreadableVariables(
  names: readonly string[],
  read: (name: string) => string | undefined,
): string[] {
  return names.filter((name) => {
    try {
      read(name);
      return false;
    } catch {
      return true;
    }
  });
}
