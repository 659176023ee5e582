/** A timer that is late by this much, in milliseconds, had to wait for the process itself. */
const LATE_MS = 10;

/** With a timer that is late by this much, in milliseconds, the process was paused: nobody waits any more. */
const PAUSE_MS = 200;

/** After a pause the other side gets this long to be heard, in milliseconds. */
const GRACE_MS = 50;

/**
 * Sets a deadline for the other side. When it passes while this process does not run (the machine is
 * paused, or gives it no core) or is behind with its own work (a thousand checks at once), the answer may
 * have come in time and wait to be read, but timers come first. Then the deadline is put off by moments,
 * until the event loop turns freely again: a `down` for a delay of one's own is wrong. A moment is as long
 * as the delay was.
 *
 * @param passed called once it has passed
 * @param timeoutMs from now, in milliseconds
 * @param putOffMs how far it may be put off, in milliseconds; where it is late itself, by 10 in any case, and
 * after a pause by 50.
 * @default {1000}
 * @returns takes it back
 */
export function setDeadline(passed: () => void, timeoutMs: number, putOffMs = 1000): () => void {
  const due = performance.now() + timeoutMs;
  let last: number | undefined;
  let timer = setTimeout(() => look(due, false), timeoutMs);
  const look = (expectedAt: number, turned: boolean) => {
    const now = performance.now();
    last ??= Math.max(due + putOffMs, now + (now - due >= PAUSE_MS ? GRACE_MS : LATE_MS));
    const lateMs = now - expectedAt;
    const late = lateMs >= LATE_MS;
    if (now >= last || !late && turned) return passed();
    // On time by chance is not enough: the whole next turn of the event loop has to be quick.
    const inMs = late ? Math.min(lateMs, GRACE_MS, last - now) : 0;
    timer = setTimeout(() => look(now + inMs, !late), inMs);
  };
  return () => clearTimeout(timer);
}
