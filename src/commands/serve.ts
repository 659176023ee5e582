import { Agent } from "../agent.ts";
import { loadClient } from "../backends.ts";
import { type Configuration, effectiveConfiguration } from "../config/configuration.ts";
import type { LoadedConfiguration } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { within } from "../deadline.ts";
import { stackOf } from "../describe_error.ts";
import { openLog } from "../log/file.ts";
import {
  changeLogging,
  type Logger,
  type LogOptions,
  type Logs,
  setUpLogging,
} from "../log/log.ts";
import { LogOutput } from "../log/output.ts";
import { addLogMetrics } from "../metrics/collectors.ts";
import { Metrics } from "../metrics/metrics.ts";
import { ListenError } from "../server/listen.ts";
import { certificateWarning, ownCertificates } from "../tls/client_certificate.ts";
import { VERSION } from "../version.ts";
import { Reloader } from "./reloader.ts";

/** How long the last log lines may take to leave, in milliseconds. */
const LOG_DRAIN_MS = 200;

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * How often a thread of the pool on which Deno looks names up and writes the log gets something to do, in
 * milliseconds. Tokio ends a thread that is idle for 10 s; when it then needs one and the machine gives none (a
 * limit of processes), it panics and the agent ends. As long as one thread lives, work waits for it instead. This
 * can go when https://github.com/tokio-rs/tokio/blob/master/tokio/src/runtime/blocking/pool.rs does not panic
 * any more.
 */
const KEEP_THREAD_MS = 4000;

/** How a serving agent is stopped and reloaded, and where it complains. */
export interface ServeHooks {
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
 * Gives up what only the start needs, so that nothing that happens later can use it: the environment,
 * and, unless the log goes to a file, writing. Deno gives neither back. Variables read as unset then.
 */
export function giveUpPermissions(settings: Pick<Settings, "log_destination">): void {
  Deno.permissions.revokeSync({ name: "env" });
  if (settings.log_destination !== "file") Deno.permissions.revokeSync({ name: "write" });
}

/**
 * Serves until asked to stop.
 *
 * @returns whether it could start
 */
export async function serve(
  configuration: Configuration,
  warnings: readonly string[],
  hooks: ServeHooks,
): Promise<boolean> {
  const log = await openLog(configuration.settings, {
    onFailed: (error) =>
      logs.main.error("The log file cannot be written: its lines go to stderr", {
        error: String(error),
      }),
    onRecovered: () => logs.main.info("The log file can be written again"),
    onUndeleted: (error) =>
      logs.main.warn("Old log files cannot be deleted", { error: String(error) }),
  });
  if (!log.ok) {
    hooks.complain(log.mistake);
    return false;
  }
  const output = new LogOutput(
    log.destination,
    (count) => logs.main.warn("Log lines were lost: nothing took them in time", { count }),
  );
  const colour = configuration.settings.log_destination === "console" &&
    Deno.stderr.isTerminal() && !Deno.noColor;
  const logOptions = ({ settings, logLevels }: Configuration): LogOptions => ({
    level: settings.log_level,
    levels: logLevels,
    format: settings.log_format,
    colour,
    write: (line, isUrgent) => output.add(line, isUrgent),
  });
  const logs = setUpLogging(logOptions(configuration));
  const metrics = new Metrics();
  addLogMetrics(metrics.registry, () => output.dropped);
  surviveBugs(logs.main, metrics);
  surviveSignals(logs.main);
  logs.main.info("Starting", {
    version: VERSION,
    configuration: effectiveConfiguration(configuration),
  });
  for (const warning of warnings) logs.config.warn(warning);
  const threadKeeper = setInterval(() => Deno.stat("/").catch(() => {}), KEEP_THREAD_MS);
  Deno.unrefTimer(threadKeeper);
  try {
    const mistake = await loadClient(configuration, logs.checker);
    if (mistake !== undefined) {
      logs.main.error(mistake);
      hooks.complain(mistake);
      return false;
    }
    const agent = await Agent.start(configuration, logs, metrics);
    const reloader = new Reloader(agent, configuration, logs, hooks.load, (configuration) => {
      changeLogging(logs, logOptions(configuration));
    });
    hooks.onReload(() => {
      log.look();
      reloader.reload();
    });
    const daily = setInterval(() => warnOfCertificates(reloader.configuration, logs), DAY_MS);
    logs.main.info("Stopping", { signal: await hooks.stopped });
    clearInterval(daily);
    reloader.stop();
    const { shutdown_timeout_ms: timeoutMs } = reloader.configuration.settings;
    await stop(agent, timeoutMs - LOG_DRAIN_MS, logs.main);
    return true;
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    logs.main.error(error.message);
    if (configuration.settings.log_destination === "file") hooks.complain(error.message);
    return false;
  } finally {
    clearInterval(threadKeeper);
    await output.drain(LOG_DRAIN_MS);
  }
}

/**
 * Logs and counts (`error_type="internal"`) an exception that nothing caught instead of dying of it: a bug
 * in the answer to one backend must not take the checks of all others away. A check that such a bug has
 * lost ends at its deadline.
 */
function surviveBugs(log: Logger, metrics: Pick<Metrics, "countBug">): void {
  const survive = (message: string, error: unknown) => {
    metrics.countBug();
    log.error(message, { error: stackOf(error) });
  };
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    survive("Uncaught exception", event.error);
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    survive("Unhandled rejection", event.reason);
  });
}

/**
 * Signals that would end the agent, and may be sent to it by mistake: SIGUSR2 reloads HAProxy's master, and SIGUSR1
 * has other programs rotate their logs.
 */
const MEANINGLESS_SIGNALS = ["SIGUSR1", "SIGUSR2", "SIGALRM"] as const;

/**
 * Signals that the kernel sends at a limit of file size or of processor time (setrlimit(2)), and that would end the
 * agent. Where the first is caught, the write fails as on a full disk.
 */
const LIMIT_SIGNALS = ["SIGXFSZ", "SIGXCPU"] as const;

/** Keeps these signals from ending the agent. Of each that means nothing here it warns once. */
function surviveSignals(log: Logger): void {
  for (const signal of LIMIT_SIGNALS) Deno.addSignalListener(signal, () => {});
  for (const signal of MEANINGLESS_SIGNALS) {
    let isTold = false;
    Deno.addSignalListener(signal, () => {
      if (!isTold) log.warn(meaninglessSignal(signal));
      isTold = true;
    });
  }
}

/** Where the bundle's program can, it blocks SIGUSR1: then it reaches neither the agent nor Deno. */
function meaninglessSignal(signal: Deno.Signal): string {
  return signal === "SIGUSR1" && !Deno.build.standalone
    ? "SIGUSR1 has Deno open its debugger on 127.0.0.1:9229, to all users of this machine: restart " +
      "the agent, and see SECURITY.md"
    : `${signal} means nothing to the agent: SIGHUP reloads it, SIGTERM stops it`;
}

/** Warns again of what the start and each reload warn of: a certificate may come near its end long after them. */
function warnOfCertificates({ tlsProfiles }: Configuration, { config: log }: Logs): void {
  for (const certificate of ownCertificates(tlsProfiles.values())) {
    const warning = certificateWarning(certificate, new Date());
    if (warning !== undefined) log.warn(warning);
  }
}

async function stop(agent: Agent, timeoutMs: number, log: Logger): Promise<void> {
  const isStopped = await within(timeoutMs, agent.stop().then(() => true), false);
  if (!isStopped) log.warn("Stopped with checks under way");
  else log.info("Stopped");
}
