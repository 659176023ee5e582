/** The real clock, also where a test has `performance.now()` stand still. */
const now = performance.now.bind(performance);

/** How {@linkcode eventually} waits. */
export interface EventuallyOptions {
  /** Milliseconds before it gives up. @default {5000} */
  timeoutMs?: number;
  /** Milliseconds between two looks. @default {20} */
  everyMs?: number;
}

/**
 * Looks at a condition again and again until it holds.
 *
 * @param what what is waited for, as it should read in "Gave up waiting for ..."
 * @param look gives the awaited value, or a falsy value while it is not there yet
 * @returns the first truthy value
 * @throws {Error} when the time is over
 */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  options: EventuallyOptions = {},
): Promise<NonNullable<T>> {
  const { timeoutMs = 5000, everyMs = 20 } = options;
  const end = now() + timeoutMs;
  while (true) {
    const value = await look();
    if (value) return value;
    if (now() > end) throw new Error(`Gave up waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/**
 * Waits for a promise, but no longer than a given time.
 *
 * @param what what is waited for, as it should read in "Gave up waiting for ..."
 * @throws {Error} when the time is over
 */
export async function within<T>(what: string, timeoutMs: number, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`Gave up waiting for ${what} after ${timeoutMs} ms`)),
    timeoutMs,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** @returns an error that goes on with what was seen until then; its cause is the first one */
export function withSeen(error: unknown, seen: string): Error {
  return new Error(`${(error as Error).message}${seen}`, { cause: error });
}
