import { wrongValue } from "./kinds.ts";
import { ENV_PREFIX, type Setting, SETTING_ROWS, type Settings } from "./settings.ts";
import type { TomlEntry } from "./toml.ts";

/** Where settings come from, beside the TOML file. */
export interface SettingSources {
  /** Values of the command line by the key of their setting. */
  readonly flags: ReadonlyMap<string, string>;
  readonly environment: Readonly<Record<string, string>>;
  /** Variables that are set to something that is no text. @default {[]} */
  readonly unreadable?: readonly string[];
}

/**
 * Reads the value of each setting from the strongest source that gives one: the command line, then the TOML file,
 * then the environment.
 *
 * @param entries those of the TOML file, by their keys
 * @param mistakes takes one line per mistake
 * @param warnings takes one line per variable that is empty
 * @returns the settings, and where the value of each came from, for messages
 */
export function readSettings(
  { flags, environment, unreadable = [] }: SettingSources,
  entries: ReadonlyMap<string, TomlEntry>,
  mistakes: string[],
  warnings: string[],
): { readonly settings: Settings; readonly sourceOf: (key: string) => string } {
  const sources = new Map<string, string>();
  const values = SETTING_ROWS.map((setting) => {
    const given = findTyped(setting, flags) ?? findInFile(setting, entries) ??
      findVariable(setting, environment, unreadable, warnings);
    if (given === undefined) return [setting.key, setting.default];
    sources.set(setting.key, given.source);
    if (given.read === undefined) {
      mistakes.push(
        given.value === undefined
          ? `${setting.key} (from ${given.source}): the value is not UTF-8`
          : wrongValue(setting.key, given.source, given.value, setting.kind.accepted),
      );
    }
    return [setting.key, given.read ?? setting.default];
  });
  return {
    settings: Object.fromEntries(values) as Settings,
    sourceOf: (key) => sources.get(key) ?? "its default",
  };
}

/** What a source says of a setting. */
interface Given {
  readonly source: string;
  /** As it stands there; `undefined` where it is no text. */
  readonly value: unknown;
  /** The value of the setting; `undefined` where it is not accepted. */
  readonly read: unknown;
}

function findTyped(
  { key, flag, kind }: Setting<unknown>,
  flags: ReadonlyMap<string, string>,
): Given | undefined {
  const value = flags.get(key);
  return value === undefined
    ? undefined
    : { source: `--${flag}`, value, read: kind.fromText(value) };
}

function findInFile(
  { toml, kind }: Setting<unknown>,
  entries: ReadonlyMap<string, TomlEntry>,
): Given | undefined {
  const entry = toml.flatMap((path) => entries.get(path) ?? [])[0];
  return entry && { ...entry, read: kind.fromToml(entry.value) };
}

/** Compose files and templates may set a variable to nothing, or with blanks around it, without anybody meaning it. */
function findVariable(
  { env, kind }: Setting<unknown>,
  environment: Readonly<Record<string, string>>,
  unreadable: readonly string[],
  warnings: string[],
): Given | undefined {
  const source = ENV_PREFIX + env;
  if (unreadable.includes(source)) return { source, value: undefined, read: undefined };
  const value = environment[source];
  if (value === undefined) return undefined;
  const text = kind.keepsBlanks ? value : value.trim();
  if (text !== "" || kind.refusesEmpty) return { source, value, read: kind.fromText(text) };
  warnings.push(`${source}: empty, which counts as not set`);
  return undefined;
}
