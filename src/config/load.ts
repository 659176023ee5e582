import { type Config, ENV_PREFIX, type Setting, SETTING_ROWS } from "./settings.ts";
import { suggest } from "./suggest.ts";

/** The configuration, or one line per mistake in it. */
export type LoadedConfig =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly mistakes: readonly string[] };

/**
 * Puts the configuration together from its sources, the command line stronger than the environment,
 * and the environment stronger than the defaults, for each setting by itself.
 *
 * @param flags values of the command line by the key of their setting
 * @param environment all environment variables
 */
export function loadConfig(
  flags: ReadonlyMap<string, string>,
  environment: Readonly<Record<string, string>>,
): LoadedConfig {
  const mistakes: string[] = [];
  const values = Object.fromEntries(SETTING_ROWS.map((setting) => {
    const given = findGiven(setting, flags, environment);
    if (given === undefined) return [setting.key, setting.default];
    const value = setting.kind.read(given.text);
    if (value === undefined) {
      mistakes.push(
        `${setting.key} (from ${given.source}): ${
          JSON.stringify(given.text)
        } is not ${setting.kind.accepted}`,
      );
    }
    return [setting.key, value];
  }));
  const config = values as unknown as Config;
  if (mistakes.length === 0) mistakes.push(...contradictions(config));
  if (mistakes.length > 0) return { ok: false, mistakes };
  return { ok: true, config, warnings: [...unknownVariables(environment), ...doubts(config)] };
}

function findGiven(
  { key, flag, env }: Setting<unknown>,
  flags: ReadonlyMap<string, string>,
  environment: Readonly<Record<string, string>>,
): { readonly text: string; readonly source: string } | undefined {
  const typed = flags.get(key);
  if (typed !== undefined) return { text: typed, source: `--${flag}` };
  const variable = environment[ENV_PREFIX + env];
  return variable === undefined ? undefined : { text: variable, source: ENV_PREFIX + env };
}

/** Settings that are right alone and wrong together. */
function contradictions(config: Config): string[] {
  return config.metrics_port === config.server_port
    ? [`metrics_port: ${config.metrics_port} is server_port already`]
    : [];
}

/** Kubernetes sets such names by itself for a Service called haproxy-agent, so they are no mistakes. */
function unknownVariables(environment: Readonly<Record<string, string>>): string[] {
  const known = SETTING_ROWS.map(({ env }) => env);
  return Object.keys(environment)
    .filter((name) => name.startsWith(ENV_PREFIX))
    .map((name) => name.slice(ENV_PREFIX.length))
    .filter((name) => !known.includes(name))
    .map((name) => `${ENV_PREFIX}${name}: unknown variable${suggest(name, known, ENV_PREFIX)}`);
}

/** HAProxy's `agent-inter` when it is not set, less some room for the way, in milliseconds. */
const SAFE_CHECK_TIMEOUT_MS = 1950;

function doubts(config: Config): string[] {
  return config.check_timeout_ms > SAFE_CHECK_TIMEOUT_MS
    ? [
      `check_timeout_ms: ${config.check_timeout_ms} is more than ${SAFE_CHECK_TIMEOUT_MS}: HAProxy gives up ` +
      `after agent-inter (2 s unless set) and then keeps a dead server UP`,
    ]
    : [];
}
