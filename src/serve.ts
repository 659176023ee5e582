import type { Logger } from "@logtape/logtape";
import { Agent, ListenError } from "./agent.ts";
import { effectiveConfiguration } from "./config/effective.ts";
import type { Configuration, LoadedConfiguration } from "./config/load.ts";
import { SETTING_ROWS } from "./config/settings.ts";
import { LogOutput } from "./observe/log_output.ts";
import { type Logs, setUpLogging } from "./observe/log.ts";
import { surviveBugs } from "./survive_bugs.ts";
import { VERSION } from "./version.ts";

/** How long the last log lines may take to leave, in milliseconds. */
const LOG_DRAIN_MS = 200;

/** What comes to a serving agent from outside. */
export interface Outside {
  /** Settles with the name of the signal that asks the agent to stop. */
  readonly stopped: Promise<string>;
  /** Has `reload` called whenever the configuration is to be read again. */
  readonly onReload: (reload: () => void) => void;
  /** Reads the configuration again. */
  readonly load: () => LoadedConfiguration;
}

/**
 * Serves until asked to stop.
 *
 * @returns whether it could listen
 */
export async function serve(
  configuration: Configuration,
  warnings: readonly string[],
  outside: Outside,
): Promise<boolean> {
  const output = new LogOutput((bytes) => Deno.stderr.write(bytes));
  const logs = setUpLog(configuration, output);
  surviveBugs(logs.main);
  logs.main.info("Starting", {
    version: VERSION,
    configuration: effectiveConfiguration(configuration),
  });
  for (const warning of warnings) logs.config.warn(warning);
  try {
    const agent = new Agent(configuration, logs);
    let current = configuration;
    outside.onReload(() => current = reload(agent, current, outside.load(), logs, output));
    logs.main.info("Stopping", { signal: await outside.stopped });
    await stop(agent, current.settings.shutdown_timeout_ms - LOG_DRAIN_MS, logs.main);
    return true;
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    logs.main.error(error.message);
    return false;
  } finally {
    await output.drain(LOG_DRAIN_MS);
  }
}

function setUpLog({ settings, logLevels }: Configuration, output: LogOutput): Logs {
  return setUpLogging({
    level: settings.log_level,
    levels: logLevels,
    format: settings.log_format,
    colour: Deno.stderr.isTerminal() && !Deno.noColor,
    write: (line) => output.add(line),
  });
}

/** All or nothing. @returns the configuration that is in force now */
function reload(
  agent: Agent,
  before: Configuration,
  loaded: LoadedConfiguration,
  { config: log }: Logs,
  output: LogOutput,
): Configuration {
  if (!loaded.ok) {
    for (const mistake of loaded.mistakes) log.error(mistake);
    log.error("The configuration stays as it was");
    return before;
  }
  const { configuration, warnings } = loaded;
  agent.reconfigure(configuration);
  setUpLog(configuration, output);
  for (const warning of warnings) log.warn(warning);
  const changed = SETTING_ROWS.filter(({ key }) =>
    shown(before, key) !== shown(configuration, key)
  );
  for (const { key } of changed.filter(({ restart }) => restart === true)) {
    log.warn(`${key}: the change needs a restart`);
  }
  log.info("Configuration read again", {
    changed: changed.map(({ key }) => key),
    configuration: effectiveConfiguration(configuration),
  });
  return configuration;
}

function shown(configuration: Configuration, key: string): string {
  return JSON.stringify(effectiveConfiguration(configuration)[key]);
}

async function stop(agent: Agent, timeoutMs: number, log: Logger): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), timeoutMs);
  });
  const late = await Promise.race([agent.stop(), timeout]) === "late";
  clearTimeout(timer);
  if (late) log.warn("Stopped with checks under way");
  else log.info("Stopped");
}
