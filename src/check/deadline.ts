/** A timer that is late by this much, in milliseconds, had to wait for the process itself. */
const LATE_MS = 50;

/** What has arrived meanwhile gets this long to be read, in milliseconds. */
const GRACE_MS = 50;

/**
 * Sets a deadline for the other side. When it passes while this process does not run (the machine is
 * paused, or gives it no core), the answer may have come in time and wait to be read, but timers come
 * first. Then the deadline is put off by a moment, once: a `down` for a pause of one's own is wrong.
 *
 * @param passed called once it has passed
 * @param timeoutMs from now, in milliseconds
 * @returns takes it back
 */
export function setDeadline(passed: () => void, timeoutMs: number): () => void {
  const due = performance.now() + timeoutMs;
  let timer = setTimeout(() => {
    if (performance.now() - due < LATE_MS) passed();
    else timer = setTimeout(passed, GRACE_MS);
  }, timeoutMs);
  return () => clearTimeout(timer);
}
