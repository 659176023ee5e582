import { setLogger } from "@grpc/grpc-js";
import type { Logger } from "./log.ts";
import { ThrottledWarnings } from "./throttled_warnings.ts";

/** What the library says is logged up to this many characters: it quotes backends. */
const LOGGED_LENGTH = 500;

/**
 * Logs what grpc-js would print on stderr by itself: as it came from the wire (a response header that it does
 * not take), between the lines of the log, and synchronously, so that a full pipe would stop the agent.
 *
 * @param log `undefined` for nowhere
 */
export function logGrpc(log: Logger | undefined): void {
  const warnings = log && new ThrottledWarnings(log);
  const fields = (words: readonly unknown[]) => () => ({
    text: words.map(String).join(" ").slice(0, LOGGED_LENGTH),
  });
  const say = (...words: unknown[]) => log?.debug("grpc-js says", fields(words));
  setLogger({
    error: (...words: unknown[]) => warnings?.warn("grpc-js complains", fields(words)),
    info: say,
    debug: say,
  });
}
