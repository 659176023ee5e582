import type { Deadlines } from "../deadline.ts";
import { codeOf } from "../describe_error.ts";
import type { DialLimits } from "./dial_limits.ts";
import { missingResource } from "./local_resources.ts";

/** A connection attempt without an answer gets another one beside it after so long, in milliseconds. */
const REPEAT_AFTER_MS = 300;

/** How many such attempts of all dials may be under way: where many backends are silent, no packet was merely lost. */
const MAX_REPEATS = 64;

/** How one TCP connection is made. */
export interface Connecting<Socket> {
  readonly address: string;
  /** Tries once. The signal ends the attempt, and the socket too where there is one. */
  connect(signal: AbortSignal): Promise<Socket>;
  /** Ends a socket that is not needed. */
  close(socket: Socket): void;
}

/**
 * Makes a TCP connection. Its SYN may be lost, and the kernel sends it again only after a second (RFC 6298,
 * section 2): so as long as there is no answer, further attempts are made beside the first.
 *
 * @param signal ends all attempts, and the socket that was made
 * @returns the first that is made
 * @throws why an attempt failed, unless it is a later one that the agent lacked something for
 */
export async function connectPersistently<Socket>(
  connecting: Connecting<Socket>,
  limits: DialLimits,
  deadlines: Deadlines,
  signal: AbortSignal,
): Promise<Socket> {
  const attempts = new Set<AbortController>();
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  let isOver = false;
  const end = (made?: AbortController) => {
    isOver = true;
    for (const attempt of attempts) if (attempt !== made) attempt.abort();
  };
  const attempt = async () => {
    const controller = new AbortController();
    attempts.add(controller);
    const socket = await connecting.connect(controller.signal);
    if (isOver) return connecting.close(socket);
    end(controller);
    resolve(socket);
  };
  const repeat = () => {
    timer = deadlines.set(repeat, REPEAT_AFTER_MS);
    if (limits.repeats >= MAX_REPEATS) return;
    limits.repeats++;
    attempt()
      .catch((error) => {
        if (missingResource(codeOf(error), connecting.address) === undefined) reject(error);
      })
      .finally(() => limits.repeats--);
  };
  let timer = deadlines.set(repeat, REPEAT_AFTER_MS);
  // A dial may also be given up later, in its TLS handshake: then the socket that was made ends too.
  signal.addEventListener("abort", () => end(), { once: true });
  attempt().catch(reject);
  try {
    return await promise;
  } catch (error) {
    end();
    throw error;
  } finally {
    timer.cancel();
  }
}
