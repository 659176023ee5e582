import type { Settings } from "./config/settings.ts";
import { stackOf } from "./describe_error.ts";
import type { Logger } from "./log/log.ts";
import type { Metrics } from "./metrics/metrics.ts";

/**
 * Gives up what only the start needs, so that nothing that happens later can use it: the environment,
 * and, unless the log goes to a file, writing. Deno gives neither back. Variables read as unset then.
 */
export function giveUpPermissions(settings: Pick<Settings, "log_destination">): void {
  Deno.permissions.revokeSync({ name: "env" });
  if (settings.log_destination !== "file") Deno.permissions.revokeSync({ name: "write" });
}

/**
 * Logs and counts (`error_type="internal"`) an exception that nothing caught instead of dying of it: a bug
 * in the answer to one backend must not take the checks of all others away. A check that such a bug has
 * lost ends at its deadline.
 */
export function surviveBugs(log: Logger, metrics: Pick<Metrics, "countBug">): void {
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

/** Settles at the first SIGTERM or SIGINT; a second one ends the process at once. */
export function nextStopSignal(): Promise<string> {
  return new Promise((resolve) => {
    let stopping = false;
    for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15]] as const) {
      Deno.addSignalListener(signal, () => {
        if (stopping) Deno.exit(128 + number);
        stopping = true;
        resolve(signal);
      });
    }
  });
}

/**
 * Takes SIGHUP from here on: without a listener it would end the process.
 *
 * @returns sets what SIGHUP does; where one has come already, does it at once
 */
export function reloadSignals(): (reload: () => void) => void {
  let missed = false;
  let onSignal = () => {
    missed = true;
  };
  Deno.addSignalListener("SIGHUP", () => onSignal());
  return (reload) => {
    onSignal = reload;
    if (missed) reload();
  };
}
