import type { Logger } from "@logtape/logtape";
import { Agent } from "./agent.ts";
import { effectiveConfiguration } from "./config/effective.ts";
import type { Configuration, LoadedConfiguration } from "./config/load.ts";
import { SETTING_ROWS } from "./config/settings.ts";
import { LogOutput } from "./observe/log_output.ts";
import { logGrpc } from "./observe/grpc_log.ts";
import { type Logs, setUpLogging } from "./observe/log.ts";
import { Metrics } from "./observe/metrics.ts";
import { certificateWarning, ownCertificates } from "./observe/own_certificates.ts";
import { openLog } from "./open_log.ts";
import { ListenError } from "./server/listen.ts";
import { surviveBugs } from "./survive_bugs.ts";
import { VERSION } from "./version.ts";

/** How long the last log lines may take to leave, in milliseconds. */
const LOG_DRAIN_MS = 200;

const DAY_MS = 24 * 60 * 60 * 1000;

/** What comes to a serving agent from outside. */
export interface Outside {
  /** Settles with the name of the signal that asks the agent to stop. */
  readonly stopped: Promise<string>;
  /** Has `reload` called whenever the configuration is to be read again. */
  readonly onReload: (reload: () => void) => void;
  /** Reads the configuration again. */
  readonly load: () => Promise<LoadedConfiguration>;
  /** Tells whoever starts the agent why it does not start. */
  readonly complain: (mistake: string) => void;
}

/**
 * Serves until asked to stop.
 *
 * @returns whether it could start
 */
export async function serve(
  configuration: Configuration,
  warnings: readonly string[],
  outside: Outside,
): Promise<boolean> {
  const log = await openLog(configuration.settings, {
    failed: (error) =>
      logs.main.error("The log file cannot be written: its lines go to stderr", {
        error: String(error),
      }),
    recovered: () => logs.main.info("The log file can be written again"),
    onUndeleted: (error) =>
      logs.main.warn("Old log files cannot be deleted", { error: String(error) }),
  });
  if (!log.ok) {
    outside.complain(log.mistake);
    return false;
  }
  const output = new LogOutput(
    log.destination,
    (count) => logs.main.warn("Log lines were lost: nothing took them in time", { count }),
  );
  const colour = configuration.settings.log_destination === "console" &&
    Deno.stderr.isTerminal() && !Deno.noColor;
  const setUpLogs = ({ settings, logLevels }: Configuration) =>
    setUpLogging({
      level: settings.log_level,
      levels: logLevels,
      format: settings.log_format,
      colour,
      write: (line) => output.add(line),
    });
  const logs = setUpLogs(configuration);
  const metrics = new Metrics();
  metrics.showDroppedLines(() => output.dropped);
  surviveBugs(logs.main, metrics);
  logGrpc(logs.checker);
  logs.main.info("Starting", {
    version: VERSION,
    configuration: effectiveConfiguration(configuration),
  });
  for (const warning of warnings) logs.config.warn(warning);
  try {
    const agent = await Agent.start(configuration, logs, metrics);
    let current = configuration;
    let stopping = false;
    let reloads = Promise.resolve();
    let isNextDue = false;
    outside.onReload(() => {
      // One after the other, and one for all that were asked for meanwhile.
      if (isNextDue) return;
      isNextDue = true;
      reloads = reloads.then(async () => {
        isNextDue = false;
        log.look();
        const loaded = await outside.load();
        if (!stopping) current = reload(agent, current, loaded, logs, setUpLogs);
      });
    });
    const daily = setInterval(() => warnOfCertificates(current, logs), DAY_MS);
    logs.main.info("Stopping", { signal: await outside.stopped });
    clearInterval(daily);
    stopping = true;
    await stop(agent, current.settings.shutdown_timeout_ms - LOG_DRAIN_MS, logs.main);
    return true;
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    logs.main.error(error.message);
    if (configuration.settings.log_destination === "file") outside.complain(error.message);
    return false;
  } finally {
    await output.drain(LOG_DRAIN_MS);
  }
}

/** What the start and each reload have warned of may come true long after. */
function warnOfCertificates({ tlsProfiles }: Configuration, { config: log }: Logs): void {
  for (const certificate of ownCertificates(tlsProfiles.values())) {
    const warning = certificateWarning(certificate, new Date());
    if (warning !== undefined) log.warn(warning);
  }
}

/** All or nothing. @returns the configuration that is in force now */
function reload(
  agent: Agent,
  before: Configuration,
  loaded: LoadedConfiguration,
  { config: log }: Logs,
  setUpLogs: (configuration: Configuration) => void,
): Configuration {
  if (!loaded.ok) {
    agent.configurationFailed();
    for (const mistake of loaded.mistakes) log.error(mistake);
    log.error("The configuration stays as it was");
    return before;
  }
  const { warnings } = loaded;
  const configuration = withoutRestart(before, loaded.configuration);
  agent.reconfigure(configuration);
  setUpLogs(configuration);
  for (const warning of warnings) log.warn(warning);
  for (const key of differences(configuration, loaded.configuration)) {
    log.warn(`${key}: the change needs a restart`);
  }
  log.info("Configuration read again", {
    changed: differences(before, configuration),
    configuration: effectiveConfiguration(configuration),
  });
  return configuration;
}

/** What is in force once `after` has been read: all of it but what needs a restart. */
function withoutRestart(before: Configuration, after: Configuration): Configuration {
  const kept = SETTING_ROWS.filter(({ restart }) => restart === true)
    .map(({ key }) => [key, valueOf(before, key)]);
  return { ...after, settings: { ...after.settings, ...Object.fromEntries(kept) } };
}

/** The keys of the settings that are not the same. */
function differences(one: Configuration, other: Configuration): string[] {
  return SETTING_ROWS.map(({ key }) => key)
    .filter((key) => JSON.stringify(valueOf(one, key)) !== JSON.stringify(valueOf(other, key)));
}

function valueOf({ settings }: Configuration, key: string): unknown {
  return (settings as Readonly<Record<string, unknown>>)[key];
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
