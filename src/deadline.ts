/** A deadline that fires later than this, in milliseconds, had to wait for the process itself. */
const LATE_MS = 20;

/**
 * After such a delay what has arrived meanwhile is read first, for so long, in milliseconds: timers come
 * before reads.
 */
const CATCH_UP_MS = 20;

/**
 * With a delay of more than this, in milliseconds, the process or the machine stood still. Below it the other
 * side has had all its time, and what it sent in time has been read: a busy machine is late by 100 ms often.
 */
const HELD_UP_MS = 500;

/** A deadline of the other side is put off by so much at most while the agent is behind, in milliseconds. */
const MAX_PUT_OFF_MS = 1000;

/**
 * Deadlines of the same moment share a timer, in milliseconds: setting and taking back one of the
 * runtime's own timers costs as much as reading a socket.
 */
const RESOLUTION_MS = 4;

/** A deadline that has been set. */
export interface Deadline {
  /** Takes it back; nothing is called any more. Idempotent. */
  cancel(): void;
}

/**
 * Called when a deadline has passed, and all has been read that arrived before it.
 *
 * @param heldUp whether the process stood still meanwhile (stopped, or the machine moved), so that nothing can
 * be said of the other side
 */
export type OnDeadline = (heldUp: boolean) => void;

interface Entry extends Deadline {
  readonly due: number;
  readonly slot: number;
  readonly onPassed: OnDeadline;
  cancelled: boolean;
}

/** All deadlines of the agent, on one timer of the runtime's. */
export class Deadlines {
  /** Those that have not passed, by the moment of their timer. */
  readonly #slots = new Map<number, Set<Entry>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerSlot = Infinity;
  /** Those of late deadlines, which wait for reads. */
  readonly #catchingUp = new Set<ReturnType<typeof setTimeout>>();

  /**
   * @param onPassed called once, no sooner than `timeoutMs` from now. What it throws is a bug, which is
   * reported and takes no other deadline with it
   * @param timeoutMs in milliseconds; 0 or less is the next turn of the event loop
   * @param now from when on, in milliseconds of `performance.now()`
   */
  set(onPassed: OnDeadline, timeoutMs: number, now = performance.now()): Deadline {
    const due = now + Math.max(0, timeoutMs);
    const slot = Math.ceil(due / RESOLUTION_MS);
    const cancel = () => this.#remove(entry);
    const entry: Entry = { due, slot, onPassed, cancelled: false, cancel };
    const entries = this.#slots.get(slot);
    if (entries === undefined) this.#slots.set(slot, new Set([entry]));
    else entries.add(entry);
    if (slot < this.#timerSlot) this.#arm(slot);
    return entry;
  }

  /**
   * The same for what the other side has to do: while the event loop is behind with the agent's own work, what
   * has come in time may wait to be read. So it passes once the loop turns freely again, or a second later.
   */
  setForOtherSide(onPassed: OnDeadline, timeoutMs: number, now = performance.now()): Deadline {
    const putOffUntil = now + timeoutMs + MAX_PUT_OFF_MS;
    const waitForTurn = (heldUp: boolean) => {
      const turnBegan = performance.now();
      if (turnBegan > putOffUntil) return onPassed(heldUp);
      deadline = this.set(() => {
        if (performance.now() - turnBegan > LATE_MS) waitForTurn(heldUp);
        else onPassed(heldUp);
      }, 0);
    };
    let deadline = this.set(waitForTurn, timeoutMs, now);
    return { cancel: () => deadline.cancel() };
  }

  /** Takes all back. */
  close(): void {
    this.#slots.clear();
    clearTimeout(this.#timer);
    this.#timerSlot = Infinity;
    for (const timer of this.#catchingUp) clearTimeout(timer);
    this.#catchingUp.clear();
  }

  #remove(entry: Entry): void {
    entry.cancelled = true;
    const entries = this.#slots.get(entry.slot);
    if (entries?.delete(entry) === true && entries.size === 0) this.#slots.delete(entry.slot);
  }

  #arm(slot: number): void {
    clearTimeout(this.#timer);
    this.#timerSlot = slot;
    const inMs = Math.max(0, slot * RESOLUTION_MS - performance.now());
    this.#timer = setTimeout(() => this.#fire(), inMs);
  }

  #fire(): void {
    this.#timerSlot = Infinity;
    const now = performance.now();
    const passed: Entry[] = [];
    for (const [slot, entries] of this.#slots) {
      if (slot * RESOLUTION_MS > now) continue;
      this.#slots.delete(slot);
      passed.push(...entries);
    }
    const late: Entry[] = [];
    for (const entry of passed.sort((a, b) => a.due - b.due)) {
      if (now - entry.due > LATE_MS) late.push(entry);
      else pass(entry, false);
    }
    if (late.length > 0) this.#catchUp(late, now);
    let next = Infinity;
    for (const slot of this.#slots.keys()) next = Math.min(next, slot);
    if (next < this.#timerSlot) this.#arm(next);
  }

  #catchUp(entries: readonly Entry[], firedAt: number): void {
    const timer = setTimeout(() => {
      this.#catchingUp.delete(timer);
      for (const entry of entries) pass(entry, firedAt - entry.due > HELD_UP_MS);
    }, CATCH_UP_MS);
    this.#catchingUp.add(timer);
  }
}

function pass({ cancelled, onPassed }: Entry, heldUp: boolean): void {
  if (cancelled) return;
  try {
    onPassed(heldUp);
  } catch (error) {
    reportError(error);
  }
}
