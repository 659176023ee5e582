/**
 * A timer that fires later than this, in milliseconds, means that the process or the machine stood still; a smaller
 * delay is common on a busy machine. Each deadline that has less time than this left then counts as held up: an
 * exchange with the other side, such as a handshake, did not go on meanwhile.
 */
const HELD_UP_MS = 500;

/** The timer fires at least this often, in milliseconds, so that a pause between two deadlines is noticed too. */
const LOOK_EVERY_MS = 400;

/** How long a deadline of the other side is put off at most, until what has arrived is read, in milliseconds. */
const MAX_PUT_OFF_MS = 1000;

/**
 * Deadlines that are due within so many milliseconds pass together, and all share one timer of the runtime: setting
 * and cancelling such a timer costs as much as reading a socket.
 */
const RESOLUTION_MS = 4;

/** A deadline that has been set. */
export interface Deadline {
  /** Cancels it: nothing is called any more. Idempotent. */
  cancel(): void;
}

/**
 * Called when a deadline of the other side has passed, and all has been read that arrived before it.
 *
 * @param heldUp whether the process stood still meanwhile (stopped, or the machine moved), so that nothing can
 * be said of the other side
 */
export type OnDeadline = (heldUp: boolean) => void;

/** A deadline, linked to the others of its slot. */
class Entry implements Deadline {
  /** `undefined` once it is passing, has passed, or is cancelled. */
  slot: Slot | undefined;
  previous: Entry | undefined;
  next: Entry | undefined;
  due: number;
  readonly onPassed: OnDeadline;
  /** How long it waits at most for what has arrived to be read, in milliseconds; 0 for one of our own. */
  readonly putOffMs: number;
  /** Whether its moment has come, and it waits for reads. */
  waitsForReads = false;
  /** Whether the process stood still meanwhile. */
  heldUp = false;

  constructor(due: number, onPassed: OnDeadline, putOffMs: number) {
    this.due = due;
    this.onPassed = onPassed;
    this.putOffMs = putOffMs;
  }

  cancel(): void {
    this.slot?.remove(this);
  }
}

/** The deadlines that pass together. */
class Slot {
  readonly number: number;
  length = 0;
  first: Entry | undefined;
  readonly #slots: Map<number, Slot>;

  constructor(number: number, slots: Map<number, Slot>) {
    this.number = number;
    this.#slots = slots;
    slots.set(number, this);
  }

  add(entry: Entry): void {
    const { first } = this;
    this.length++;
    entry.slot = this;
    entry.next = first;
    if (first !== undefined) first.previous = entry;
    this.first = entry;
  }

  entries(): Entry[] {
    const entries = [];
    for (let entry = this.first; entry !== undefined; entry = entry.next) entries.push(entry);
    return entries;
  }

  remove(entry: Entry): void {
    const { previous, next } = entry;
    this.length--;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    entry.slot = entry.previous = entry.next = undefined;
    if (this.first === undefined) this.#slots.delete(this.number);
  }
}

/** All deadlines of the agent, on a single timer of the runtime. */
export class Deadlines {
  readonly #caughtUp: (sockets: number) => Promise<void>;
  /** By their number: the time of the timer, in units of {@linkcode RESOLUTION_MS}. */
  readonly #slots = new Map<number, Slot>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerSlot = Infinity;
  /** When the timer should fire, in milliseconds of `performance.now()`. */
  #expectedAt = Infinity;

  /**
   * @param caughtUp resolves once all has been read that had arrived before the call, at so many sockets; never
   * rejects
   */
  constructor(caughtUp: (sockets: number) => Promise<void>) {
    this.#caughtUp = caughtUp;
  }

  /**
   * A deadline of our own.
   *
   * @param onPassed called once, no sooner than `timeoutMs` from now. What it throws is a bug, which is
   * reported and takes no other deadline with it
   * @param timeoutMs in milliseconds; 0 or less is the next turn of the event loop
   */
  set(onPassed: () => void, timeoutMs: number): Deadline {
    const now = performance.now();
    return this.#add(new Entry(now + Math.max(0, timeoutMs), onPassed, 0), now);
  }

  /**
   * The same for what the other side has to do by then. What has arrived in time may still be unread, since timers
   * come before reads and the agent may be busy: it is read before the deadline passes.
   *
   * @param now when the time begins, in milliseconds of `performance.now()`
   * @param putOffMs how long the deadline may be put off for that, in milliseconds
   */
  setForOtherSide(
    onPassed: OnDeadline,
    timeoutMs: number,
    now = performance.now(),
    putOffMs = MAX_PUT_OFF_MS,
  ): Deadline {
    return this.#add(new Entry(now + Math.max(0, timeoutMs), onPassed, putOffMs), now);
  }

  /** Cancels all. */
  close(): void {
    for (const slot of this.#slots.values()) {
      for (let entry = slot.first; entry !== undefined; entry = slot.first) slot.remove(entry);
    }
    clearTimeout(this.#timer);
    this.#timerSlot = this.#expectedAt = Infinity;
  }

  #add(entry: Entry, now: number): Entry {
    // Reads may come before the timer, and what they set is not held up.
    if (now - this.#expectedAt > HELD_UP_MS) this.#stoodStill(now);
    const number = Math.ceil(entry.due / RESOLUTION_MS);
    const slot = this.#slots.get(number) ?? new Slot(number, this.#slots);
    slot.add(entry);
    if (number < this.#timerSlot) this.#arm(number);
    return entry;
  }

  #arm(slot: number): void {
    clearTimeout(this.#timer);
    this.#timerSlot = slot;
    const now = performance.now();
    const inMs = Math.min(LOOK_EVERY_MS, Math.max(0, slot * RESOLUTION_MS - now));
    this.#expectedAt = now + inMs;
    this.#timer = setTimeout(() => this.#fire(), inMs);
  }

  #fire(): void {
    const now = performance.now();
    if (now - this.#expectedAt > HELD_UP_MS) this.#stoodStill(now);
    this.#timerSlot = this.#expectedAt = Infinity;
    const due = [...this.#slots.values()]
      .filter(({ number }) => number * RESOLUTION_MS <= now)
      .flatMap((slot) => slot.entries())
      .sort((a, b) => a.due - b.due);
    const toCatchUp: Entry[] = [];
    for (const entry of due) {
      if (entry.slot === undefined) continue; // cancelled by one that has just passed
      entry.slot.remove(entry);
      if (entry.putOffMs === 0 || entry.waitsForReads) {
        this.#pass(entry);
        continue;
      }
      entry.waitsForReads = true;
      entry.due = now + entry.putOffMs;
      this.#add(entry, now);
      toCatchUp.push(entry);
    }
    if (toCatchUp.length > 0) void this.#catchUp(toCatchUp);
    let next = Infinity;
    for (const slot of this.#slots.keys()) next = Math.min(next, slot);
    if (next < this.#timerSlot) this.#arm(next);
  }

  #stoodStill(now: number): void {
    this.#expectedAt = now;
    for (const slot of this.#slots.values()) {
      if (slot.number * RESOLUTION_MS - now > HELD_UP_MS) continue;
      for (const entry of slot.entries()) entry.heldUp = true;
    }
  }

  async #catchUp(entries: readonly Entry[]): Promise<void> {
    let waiting = 0;
    for (const slot of this.#slots.values()) waiting += slot.length;
    // Each check has two, its own and that of its dial or call: half of them is about the number of sockets.
    await this.#caughtUp(waiting / 2);
    for (const entry of entries) {
      if (entry.slot === undefined) continue; // cancelled by what was read, or passed without waiting longer
      entry.slot.remove(entry);
      this.#pass(entry);
    }
  }

  #pass({ onPassed, heldUp }: Entry): void {
    try {
      onPassed(heldUp);
    } catch (error) {
      reportError(error);
    }
  }
}

/** @returns what a promise resolves to, or something else if that takes longer, in milliseconds */
export async function within<T, U>(ms: number, promise: Promise<T>, otherwise: U): Promise<T | U> {
  const late = Promise.withResolvers<U>();
  const timer = setTimeout(() => late.resolve(otherwise), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
