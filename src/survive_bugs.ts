import type { Logger } from "./observe/log.ts";
import { stackOf } from "./describe_error.ts";
import type { Metrics } from "./observe/metrics.ts";

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
