import { LruMap } from "../lru_map.ts";
import type { BackendQuestion } from "../protocol/request.ts";

/** A client that hangs up earlier than this, in milliseconds, teaches nothing: most checks take less. */
const MIN_AGE_MS = 100;

/** Ages are the same within this part of the smaller one. */
const TOLERANCE = 0.05;

/** How many resets in a row at the same age teach it. */
const RESETS_THAT_TEACH = 3;

/** How long before the hang-up a client is answered: this many milliseconds, or this part of the age if it is more. */
const MIN_MARGIN_MS = 25;
const MARGIN_PART = 0.05;

/**
 * How often a check runs to its usual deadline although the client would not wait, in milliseconds: otherwise the
 * client could not show that it waits longer by now.
 */
const PROBE_EVERY_MS = 60_000;

/** How long after its last reset an age is forgotten, in milliseconds. */
const FORGET_AFTER_MS = 10 * 60_000;

/** Ages that are remembered of a client and line: several HAProxies may share an address. */
const MAX_AGES = 4;

/** How many lines are remembered of one client, and of all together; and how many clients. */
const MAX_LINES_OF_CLIENT = 2000;
const MAX_LINES = 10_000;
const MAX_CLIENTS = 1000;

/** How long a client waits for its answers, as it has shown. Times in milliseconds from the line. */
export interface LearntPatience {
  /** The client's IP address. */
  readonly client: string;
  readonly question: BackendQuestion;
  /** When the client hangs up. */
  readonly ageMs: number;
  /** When it is answered at the latest. */
  readonly deadlineMs: number;
}

/** Told what is learnt of clients, and what no longer holds. */
export interface PatienceObserver {
  /** A client's checks are answered sooner from now on. */
  onLearnt(patience: LearntPatience): void;
  /** An answer has arrived later than the age: the client waits longer than was learnt. */
  onUnlearnt(patience: LearntPatience): void;
}

/** Resets at the same age. */
interface ResetAge {
  /** The smallest and the largest of the ages, in milliseconds. */
  minMs: number;
  maxMs: number;
  /** Resets at this age since the last one at a new age. */
  resets: number;
  lastAt: number;
  learnt: boolean;
}

/** What a client has done to one line. */
interface Habit {
  readonly question: BackendQuestion;
  /** In the order of their last resets, the oldest first. */
  ages: ResetAge[];
  /** When a check last ran to its usual deadline. */
  probedAt: number;
}

/**
 * Learns how long clients wait for the answer to a line. HAProxy hangs up with a reset at `timeout check`, or
 * at `agent-inter` where that is not set, and keeps the server as it was: a `down` that would come later is
 * lost.
 *
 * What must not happen is that a client which does wait gets a `down` too soon. So only resets while a check
 * runs teach, three in a row at the same age; those of a client that is stopped or reloaded come at any age,
 * and each begins anew.
 */
export class ClientPatience {
  readonly #now: () => number;
  readonly #observer: PatienceObserver;
  readonly #clients = new LruMap<string, LruMap<string, Habit>>(MAX_CLIENTS);

  /** @param now a clock in milliseconds that never goes back */
  constructor(now: () => number, observer: PatienceObserver) {
    this.#now = now;
    this.#observer = observer;
  }

  /**
   * Called once for each check that begins.
   *
   * @returns how long the answer may take, in milliseconds; `Infinity` where nothing is known
   */
  deadlineFor(client: string, line: string): number {
    if (this.#clients.size === 0) return Infinity;
    const habit = this.#clients.get(client)?.get(line);
    if (habit === undefined) return Infinity;
    const now = this.#now();
    const learnt = shortestLearnt(habit, now);
    if (learnt === undefined) return Infinity;
    if (now - habit.probedAt >= PROBE_EVERY_MS) {
      habit.probedAt = now;
      return Infinity;
    }
    return deadlineOf(learnt.minMs);
  }

  /**
   * The client has reset its connection (RST) while the check ran.
   *
   * @param question what the line asks
   * @param ageMs from the line to the reset
   */
  onReset(client: string, line: string, question: BackendQuestion, ageMs: number): void {
    if (ageMs < MIN_AGE_MS) return;
    const now = this.#now();
    const habit = this.#habitOf(client, line, question, now);
    forgetOld(habit, now);
    const age = habit.ages.find((age) => fits(age, ageMs));
    if (age === undefined) return addAge(habit, ageMs, now);
    // Checks that ended in one moment, by a reload of the client, are one event.
    const isNext = now - ageMs >= age.lastAt;
    age.minMs = Math.min(age.minMs, ageMs);
    age.maxMs = Math.max(age.maxMs, ageMs);
    age.lastAt = now;
    habit.ages = [...habit.ages.filter((other) => other !== age), age];
    if (isNext) age.resets++;
    if (age.learnt || age.resets < RESETS_THAT_TEACH) return;
    age.learnt = true;
    habit.probedAt = now;
    if (shortestLearnt(habit, now) === age) this.#observer.onLearnt(describe(client, habit, age));
  }

  /**
   * The client has taken the answer of a healthy backend. So what was learnt of shorter waits does not hold for it:
   * another client behind the same address has hung up then, or this one has become more patient.
   *
   * @param ageMs from the line to the answer
   */
  onGoodAnswer(client: string, line: string, ageMs: number): void {
    if (this.#clients.size === 0) return;
    const habits = this.#clients.get(client);
    const habit = habits?.get(line);
    if (habits === undefined || habit === undefined) return;
    const kept = habit.ages.filter(({ minMs }) => ageMs <= minMs);
    if (kept.length === habit.ages.length) return;
    const learnt = shortestLearnt(habit, this.#now());
    habit.ages = kept;
    if (kept.length === 0) this.#drop(client, habits, line);
    if (learnt !== undefined && !kept.includes(learnt)) {
      this.#observer.onUnlearnt(describe(client, habit, learnt));
    }
  }

  /** @returns what is learnt at the moment: of each client and line the shortest patience */
  *learnt(): Iterable<LearntPatience> {
    const now = this.#now();
    for (const [client, habits] of this.#clients) {
      for (const [, habit] of habits) {
        const age = shortestLearnt(habit, now);
        if (age !== undefined) yield describe(client, habit, age);
      }
    }
  }

  clear(): void {
    for (const [client] of [...this.#clients]) this.#clients.delete(client);
  }

  #habitOf(client: string, line: string, question: BackendQuestion, now: number): Habit {
    const habits = this.#clients.get(client) ?? new LruMap(MAX_LINES_OF_CLIENT);
    this.#clients.delete(client);
    this.#clients.set(client, habits);
    const known = habits.get(line);
    if (known !== undefined) return known;
    const habit = { question, ages: [], probedAt: now };
    habits.set(line, habit);
    this.#makeRoom();
    return habit;
  }

  /** Forgets the clients whose last hang-up is longest ago. */
  #makeRoom(): void {
    const clients = [...this.#clients];
    let lines = clients.reduce((sum, [, { size }]) => sum + size, 0);
    for (const [client, { size }] of clients) {
      if (lines <= MAX_LINES) return;
      this.#clients.delete(client);
      lines -= size;
    }
  }

  #drop(client: string, habits: LruMap<string, Habit>, line: string): void {
    habits.delete(line);
    if (habits.size === 0) this.#clients.delete(client);
  }
}

/** Whether an age is the same as those of the earlier resets, all of them. */
function fits({ minMs, maxMs }: ResetAge, ageMs: number): boolean {
  return Math.max(maxMs, ageMs) <= Math.min(minMs, ageMs) * (1 + TOLERANCE);
}

/** A reset at a new age interrupts the rows of the others; what is learnt already stays learnt. */
function addAge(habit: Habit, ageMs: number, now: number): void {
  for (const age of habit.ages) age.resets = 0;
  if (habit.ages.length >= MAX_AGES) habit.ages.shift();
  habit.ages.push({ minMs: ageMs, maxMs: ageMs, resets: 1, lastAt: now, learnt: false });
}

function forgetOld(habit: Habit, now: number): void {
  habit.ages = habit.ages.filter(({ lastAt }) => now - lastAt < FORGET_AFTER_MS);
}

function shortestLearnt({ ages }: Habit, now: number): ResetAge | undefined {
  let shortest: ResetAge | undefined;
  for (const age of ages) {
    if (!age.learnt || now - age.lastAt >= FORGET_AFTER_MS) continue;
    if (shortest === undefined || age.minMs < shortest.minMs) shortest = age;
  }
  return shortest;
}

function deadlineOf(ageMs: number): number {
  return ageMs - Math.max(MIN_MARGIN_MS, ageMs * MARGIN_PART);
}

function describe(client: string, { question }: Habit, { minMs }: ResetAge): LearntPatience {
  return { client, question, ageMs: minMs, deadlineMs: deadlineOf(minMs) };
}
