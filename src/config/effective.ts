import type { Configuration } from "./load.ts";
import { SETTING_ROWS } from "./settings.ts";
import { TLS_PROFILE_KEYS } from "./tls_section.ts";

/** A configuration in the form of its TOML file. */
export type EffectiveConfiguration = Readonly<Record<string, unknown>>;

/** What stands in place of a secret. */
const HIDDEN = "(hidden)";

const LOG_SECTION = "logging.";

/**
 * Shows a configuration as it is in force, for the log and for `--check-config`: each setting under its
 * TOML key, so that what is printed can be read again. Request metadata is shown by its names alone.
 */
export function effectiveConfiguration(configuration: Configuration): EffectiveConfiguration {
  const { settings, tlsProfiles, metadata, logLevels } = configuration;
  const named = [...tlsProfiles].filter(([name]) => name !== "");
  const tls = named.map(([name, { settings }]) => {
    const rows = Object.entries(TLS_PROFILE_KEYS)
      .map(([key, { field }]) => [key, settings[field]] as const);
    return [name, thatAreSet(rows)];
  });
  const values: Readonly<Record<string, unknown>> = settings;
  const rows = SETTING_ROWS.map(({ key, toml }) => [toml.at(-1) ?? key, values[key]] as const);
  const isOfLog = ([path]: readonly [string, unknown]) => path.startsWith(LOG_SECTION);
  return {
    ...thatAreSet(rows.filter((row) => !isOfLog(row))),
    logging: {
      ...thatAreSet(
        rows.filter(isOfLog).map(([path, value]) => [path.slice(LOG_SECTION.length), value]),
      ),
      ...(logLevels.size > 0 ? { packages: Object.fromEntries(logLevels) } : {}),
    },
    ...(tls.length > 0 ? { tls: Object.fromEntries(tls) } : {}),
    ...(metadata.size > 0
      ? { metadata: Object.fromEntries([...metadata.keys()].map((name) => [name, HIDDEN])) }
      : {}),
  };
}

/** What is not set has no line: a TOML file knows no "none", and an empty list would be a mistake. */
function thatAreSet(rows: readonly (readonly [string, unknown])[]): EffectiveConfiguration {
  return Object.fromEntries(
    rows.filter(([, value]) =>
      value !== undefined && !(Array.isArray(value) && value.length === 0)
    ),
  );
}
