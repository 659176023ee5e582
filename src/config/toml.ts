import { parse, TomlError } from "smol-toml";

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
