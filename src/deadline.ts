/** A deadline that fires later than this, in milliseconds, had to wait for the process itself. */
const LATE_MS = 20;

/** The event loop turns freely when a turn takes no longer than this, in milliseconds. */
const FREE_TURN_MS = 20;

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

/** A deadline, linked to the others of its moment. */
class Entry implements Deadline {
  /** Its list; `undefined` while it is in none: it has passed, is passing, or was taken back. */
  slot: Slot | undefined;
  previous: Entry | undefined;
  next: Entry | undefined;
  due: number;
  readonly onPassed: OnDeadline;
  /** Where it is the other side's: until when it is put off at most. */
  readonly putOffUntil: number | undefined;
  /** Where it is the other side's and its time is up: since when it has waited for a free turn of the loop. */
  turnBegan: number | undefined;
  /** Whether the process stood still while its time ran. */
  heldUp = false;
  cancelled = false;

  constructor(due: number, onPassed: OnDeadline, putOffUntil?: number) {
    this.due = due;
    this.onPassed = onPassed;
    this.putOffUntil = putOffUntil;
  }

  cancel(): void {
    this.cancelled = true;
    this.slot?.remove(this);
  }
}

/** The deadlines of a moment. */
class Slot {
  readonly number: number;
  first: Entry | undefined;
  readonly #slots: Map<number, Slot>;

  constructor(number: number, slots: Map<number, Slot>) {
    this.number = number;
    this.#slots = slots;
    slots.set(number, this);
  }

  add(entry: Entry): void {
    const { first } = this;
    entry.slot = this;
    entry.next = first;
    if (first !== undefined) first.previous = entry;
    this.first = entry;
  }

  remove(entry: Entry): void {
    const { previous, next } = entry;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    entry.slot = entry.previous = entry.next = undefined;
    if (this.first === undefined) this.#slots.delete(this.number);
  }
}

/** All deadlines of the agent, on one timer of the runtime's. */
export class Deadlines {
  /** Those that have not passed, by the moment of their timer. */
  readonly #slots = new Map<number, Slot>();
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
    const entry = new Entry(now + Math.max(0, timeoutMs), onPassed);
    this.#add(entry);
    return entry;
  }

  /**
   * The same for what the other side has to do: while the event loop is behind with the agent's own work, what
   * has come in time may wait to be read. So it passes once the loop turns freely again, or a second later.
   */
  setForOtherSide(onPassed: OnDeadline, timeoutMs: number, now = performance.now()): Deadline {
    const due = now + Math.max(0, timeoutMs);
    const entry = new Entry(due, onPassed, now + timeoutMs + MAX_PUT_OFF_MS);
    this.#add(entry);
    return entry;
  }

  /** Takes all back. */
  close(): void {
    this.#slots.clear();
    clearTimeout(this.#timer);
    this.#timerSlot = Infinity;
    for (const timer of this.#catchingUp) clearTimeout(timer);
    this.#catchingUp.clear();
  }

  #add(entry: Entry): void {
    const number = Math.ceil(entry.due / RESOLUTION_MS);
    const slot = this.#slots.get(number) ?? new Slot(number, this.#slots);
    slot.add(entry);
    if (number < this.#timerSlot) this.#arm(number);
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
    for (const slot of this.#slots.values()) {
      if (slot.number * RESOLUTION_MS > now) continue;
      for (let entry = slot.first; entry !== undefined; entry = slot.first) {
        slot.remove(entry);
        passed.push(entry);
      }
    }
    const late: Entry[] = [];
    for (const entry of passed.sort((a, b) => a.due - b.due)) {
      if (now - entry.due > LATE_MS) late.push(entry);
      else this.#pass(entry, false);
    }
    if (late.length > 0) this.#catchUp(late, now);
    let next = Infinity;
    for (const slot of this.#slots.keys()) next = Math.min(next, slot);
    if (next < this.#timerSlot) this.#arm(next);
  }

  #catchUp(entries: readonly Entry[], firedAt: number): void {
    const timer = setTimeout(() => {
      this.#catchingUp.delete(timer);
      for (const entry of entries) this.#pass(entry, firedAt - entry.due > HELD_UP_MS);
    }, CATCH_UP_MS);
    this.#catchingUp.add(timer);
  }

  #pass(entry: Entry, heldUp: boolean): void {
    if (entry.cancelled) return;
    // One that is put off has had its time already: what it was late by then counts.
    if (entry.turnBegan === undefined) entry.heldUp = heldUp;
    if (isPutOff(entry)) return this.#awaitTurn(entry);
    try {
      entry.onPassed(entry.heldUp);
    } catch (error) {
      reportError(error);
    }
  }

  /** Has it pass again in the next turn of the event loop. */
  #awaitTurn(entry: Entry): void {
    entry.turnBegan = entry.due = performance.now();
    this.#add(entry);
  }
}

/** Whether it waits for another turn of the event loop: the loop was not seen to turn freely yet. */
function isPutOff({ putOffUntil, turnBegan }: Entry): boolean {
  const now = performance.now();
  const isFree = turnBegan !== undefined && now - turnBegan <= FREE_TURN_MS;
  return putOffUntil !== undefined && now <= putOffUntil && !isFree;
}
