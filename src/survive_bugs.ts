import type { Logger } from "@logtape/logtape";

/**
 * Logs an exception that nothing caught instead of dying of it: a bug in the answer to one backend must
 * not take the checks of all others away.
 */
export function surviveBugs(log: Logger): void {
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    log.error("Uncaught exception", { error: stackOf(event.error) });
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log.error("Unhandled rejection", { error: stackOf(event.reason) });
  });
}

function stackOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
