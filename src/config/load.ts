import { parseBackendRules, parseClientRules } from "../access/rules.ts";
import { reasonOf } from "../describe_error.ts";
import { MachineCas } from "../tls/machine_cas.ts";
import { type Configuration, warningsAbout } from "./configuration.ts";
import { unknownVariables, withoutServiceLinks } from "./environment.ts";
import { suggest } from "./kinds.ts";
import {
  misplacedSetting,
  readLogPackages,
  readMetadata,
  readTlsProfile,
  readTlsProfiles,
} from "./sections.ts";
import { readSettings, type SettingSources } from "./setting_values.ts";
import { SETTING_ROWS, type SettingKey, type Settings, TOML_KEYS } from "./settings.ts";
import { EMPTY_TABLE, readToml, type TomlEntry } from "./toml.ts";

/** The configuration, or one line per mistake in it. */
export type LoadedConfiguration =
  | {
    readonly ok: true;
    readonly configuration: Configuration;
    /** One line for each thing that is accepted but hardly meant. */
    readonly warnings: readonly string[];
  }
  | { readonly ok: false; readonly mistakes: readonly string[] };

/** Where a configuration comes from. */
export interface ConfigurationSources extends SettingSources {
  /** Path of the TOML file. */
  readonly configFile: string | undefined;
  /**
   * Whether it is a mistake, and not merely warned of, that the file is empty: a write may have failed.
   * @default {false}
   */
  readonly refuseEmptyFile?: boolean;
  /** Reads a file; throws when it cannot. */
  readonly readTextFile: (path: string) => string;
}

/**
 * Puts the configuration together: the command line is stronger than the TOML file, the file than the
 * environment, the environment than the defaults, for each setting by itself. All mistakes are told at
 * once.
 */
export async function loadConfiguration(
  sources: ConfigurationSources,
): Promise<LoadedConfiguration> {
  const { readTextFile } = sources;
  const knownVariables = SETTING_ROWS.map(({ env }) => env);
  const { environment, warnings: links } = withoutServiceLinks(
    sources.environment,
    knownVariables,
  );
  const mistakes: string[] = [];
  const warnings: string[] = [];
  const toml = readConfigFile(sources, mistakes, warnings);
  const { settings, sourceOf } = readSettings(
    { ...sources, environment },
    toml.settings,
    mistakes,
    warnings,
  );
  const machineCas = new MachineCas(environment, readTextFile);
  const tlsFiles = { readTextFile, machineCas };
  const profiles = await readTlsProfiles(
    toml.tls,
    { requireAlpn: settings.require_alpn },
    tlsFiles,
    mistakes,
  );
  const unnamed = await readTlsProfile(
    "",
    {
      caFile: settings.tls_ca_file,
      certFile: settings.tls_cert_file,
      keyFile: settings.tls_key_file,
      requireAlpn: settings.require_alpn,
    },
    { name: (key) => `tls_${key}`, source: (key) => sourceOf(`tls_${key}`) },
    tlsFiles,
    mistakes,
  );
  const metadata = readMetadata(toml.metadata, sources.environment, mistakes, warnings);
  const logLevels = readLogPackages(toml.logPackages, mistakes, warnings);
  const rules = readRules(settings, sourceOf, mistakes);
  if (settings.metrics_enabled && settings.metrics_port === settings.server_port) {
    const source = sourceOf("metrics_port");
    mistakes.push(
      `metrics_port (from ${source}): ${settings.metrics_port} is server_port already, take another`,
    );
  }
  if (settings.log_destination === "file" && settings.log_file_path === undefined) {
    mistakes.push(
      `log_destination (from ${sourceOf("log_destination")}): "file" needs log_file_path`,
    );
  }
  if (mistakes.length > 0 || unnamed === undefined || rules === undefined) {
    return { ok: false, mistakes };
  }
  const configuration = {
    settings,
    tlsProfiles: new Map([["", unnamed], ...profiles]),
    metadata,
    ...rules,
    logLevels,
  };
  warnings.push(
    ...links,
    ...unknownVariables(environment, knownVariables),
    ...warningsAbout(configuration, new Date()),
    ...machineCas.warning === undefined ? [] : [machineCas.warning],
  );
  return { ok: true, configuration, warnings };
}

/** The entries of the TOML file by the part of the configuration that reads them. */
interface TomlParts {
  readonly settings: ReadonlyMap<string, TomlEntry>;
  readonly tls: readonly TomlEntry[];
  readonly metadata: readonly TomlEntry[];
  readonly logPackages: readonly TomlEntry[];
}

function readConfigFile(
  sources: ConfigurationSources,
  mistakes: string[],
  warnings: string[],
): TomlParts {
  const settings = new Map<string, TomlEntry>();
  const tls: TomlEntry[] = [];
  const metadata: TomlEntry[] = [];
  const logPackages: TomlEntry[] = [];
  for (const entry of readEntries(sources, mistakes, warnings)) {
    const key = entry.path.join(".");
    const [first, second] = entry.path;
    if (entry.value === EMPTY_TABLE && SECTIONS.includes(key)) continue;
    if (TOML_KEYS.has(key)) settings.set(key, entry);
    else if (first === "tls" && isOfProfile(entry)) tls.push(entry);
    else if (first === "metadata" && entry.path.length >= 2) metadata.push(entry);
    else if (first === "logging" && second === "packages") logPackages.push(entry);
    else {
      const what = misplacedSetting(entry.path.slice(1).join(".")) ??
        `unknown key${suggest(key, [...TOML_KEYS])}`;
      mistakes.push(`${key} (from ${entry.source}): ${what}`);
    }
  }
  return { settings, tls, metadata, logPackages };
}

/** Tables that may be empty. */
const SECTIONS = ["tls", "metadata", "logging", "logging.packages"];

function isOfProfile({ path, value }: TomlEntry): boolean {
  return path.length >= 3 || path.length === 2 && value === EMPTY_TABLE;
}

function readEntries(
  { configFile, refuseEmptyFile = false, readTextFile }: ConfigurationSources,
  mistakes: string[],
  warnings: string[],
): readonly TomlEntry[] {
  if (configFile === undefined) return [];
  let text: string;
  try {
    text = readTextFile(configFile);
  } catch (error) {
    const reason = reasonOf(error);
    mistakes.push(`--config: ${JSON.stringify(configFile)} cannot be read: ${reason}`);
    return [];
  }
  if (text.trim() === "") {
    (refuseEmptyFile ? mistakes : warnings).push(
      `--config: ${JSON.stringify(configFile)} is empty: if that is meant, write a comment into it`,
    );
    return [];
  }
  const file = readToml(text, configFile);
  if (file.ok) return file.entries;
  mistakes.push(file.mistake);
  return [];
}

/**
 * Reads `allow_clients` and `allow_backends`.
 *
 * @param sourceOf where the value of a setting came from, for messages
 * @param mistakes takes one line per mistake
 */
function readRules(
  settings: Settings,
  sourceOf: (key: SettingKey) => string,
  mistakes: string[],
): Pick<Configuration, "clientRules" | "backendRules"> | undefined {
  const clients = parseClientRules(settings.allow_clients);
  const backends = parseBackendRules(settings.allow_backends);
  const complain = (key: SettingKey, reasons: readonly string[]) => {
    for (const reason of reasons) mistakes.push(`${key} (from ${sourceOf(key)}): ${reason}`);
  };
  if (!clients.ok) complain("allow_clients", clients.mistakes);
  if (!backends.ok) complain("allow_backends", backends.mistakes);
  return clients.ok && backends.ok
    ? { clientRules: clients.rules, backendRules: backends.rules }
    : undefined;
}
