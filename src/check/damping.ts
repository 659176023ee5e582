import type { Word } from "../protocol/reply.ts";

/** How many checks in a row change what is said of a backend. */
export interface Thresholds {
  /** Failed checks that take it down, 1 to 100. */
  readonly fall: number;
  /** Good checks that bring it up again, 1 to 100. */
  readonly rise: number;
}

/** What is said of a backend, and what speaks against it. */
export interface Standing {
  /** What HAProxy is told. */
  readonly word: Word;
  /** What the last checks say while they are too few to count; else the same. */
  readonly pending: Word;
  /** How many checks in a row said so. */
  readonly streak: number;
  /** How many it takes. */
  readonly needed: number;
}

/**
 * Takes one check into account: HAProxy's `rise` and `fall`, which do not apply to its agents.
 *
 * @param before the standing so far; `undefined` for a backend not known: its first verdict counts at once
 * @param word what the check by itself says
 * @param atOnce whether it counts without waiting: what a backend says of itself, and a denied target
 */
export function damp(
  before: Standing | undefined,
  word: Word,
  atOnce: boolean,
  { fall, rise }: Thresholds,
): Standing {
  const settled = { word, pending: word, streak: 0, needed: 0 };
  if (before === undefined || atOnce || word === before.word) return settled;
  const streak = before.pending === word ? before.streak + 1 : 1;
  const needed = word === "up" ? rise : fall;
  return streak >= needed ? settled : { word: before.word, pending: word, streak, needed };
}

/** @returns how near a change is, for people: `1 of 3 failures`; empty when none is near */
export function describeStanding({ pending, streak, needed }: Standing): string {
  if (streak === 0) return "";
  return `${streak} of ${needed} ${pending === "up" ? "good checks" : "failures"}`;
}
