import assert from "node:assert/strict";
import { damp, describeStanding, type Standing } from "../../src/check/damping.ts";
import { Standings } from "../../src/check/standings.ts";
import type { Opinion } from "../../src/protocol/verdict.ts";
import { type Word, wordFor } from "../../src/protocol/reply.ts";

/** One check a letter: up, down, drain at once (NOT_SERVING), Down at once (NOT_SERVING). */
const CHECKS: Readonly<Record<string, readonly [Word, boolean]>> = {
  u: ["up", false],
  d: ["down", false],
  r: ["drain", true],
  D: ["down", true],
};

const LETTERS: Readonly<Record<Word, string>> = { up: "u", down: "d", drain: "r", maint: "m" };

const ROWS: readonly [string, number, number, string, string][] = [
  ["no damping", 1, 1, "ududd", "ududd"],
  ["the first verdict counts at once", 3, 3, "d", "d"],
  ["a failure less than fall", 3, 1, "uddu", "uuuu"],
  ["fall failures in a row", 3, 1, "uddd", "uuud"],
  ["a good check between failures begins anew", 3, 1, "uddudduddd", "uuuuuuuuud"],
  ["rise good checks in a row", 1, 3, "duuu", "dddu"],
  ["a failure between good checks begins anew", 1, 3, "duuduuu", "ddddddu"],
  ["fall and rise together", 2, 2, "uddduu", "uudddu"],
  ["NOT_SERVING counts at once", 3, 1, "uD", "ud"],
  ["NOT_SERVING in the middle of failures", 3, 2, "uddDuu", "uuuddu"],
  ["drain counts at once and good checks wait for rise", 3, 2, "uruu", "urru"],
  ["one failed check of a draining backend", 2, 1, "urdr", "urrr"],
  ["a draining backend that has gone", 2, 1, "urdd", "urrd"],
  ["another kind of evidence begins anew", 2, 2, "urdud", "urrrr"],
];

for (const [what, fall, rise, checks, told] of ROWS) {
  Deno.test(`damp(): ${what} (fall ${fall}, rise ${rise}): ${checks} is told as ${told}`, () => {
    let standing: Standing | undefined;
    const words = [...checks].map((letter) => {
      const [word, atOnce] = CHECKS[letter] ?? ["up", false];
      standing = damp(standing, word, atOnce, { fall, rise });
      return LETTERS[standing.word];
    });
    assert.equal(words.join(""), told);
  });
}

Deno.test("describeStanding() says how near a change is", () => {
  const thresholds = { fall: 3, rise: 2 };
  const up = damp(undefined, "up", false, thresholds);
  assert.equal(describeStanding(up), "");
  const failing = damp(damp(up, "down", false, thresholds), "down", false, thresholds);
  assert.equal(describeStanding(failing), "2 of 3 failures");
  const down = damp(failing, "down", false, thresholds);
  assert.equal(describeStanding(down), "");
  assert.equal(describeStanding(damp(down, "up", false, thresholds)), "1 of 2 good checks");
});

/** A verdict of its own, as each attempt gives one. */
function saying(word: Word): Opinion {
  return word === "up" ? { kind: "serving" } : { kind: "timeout", detail: "" };
}

Deno.test("Standings counts a verdict once, however many checks share it", () => {
  const standings = new Standings(() => 0);
  const judge = (verdict: Opinion) =>
    standings.judge("a", verdict, wordFor(verdict, "down"), false, { fall: 2, rise: 2 }).word;
  judge(saying("up"));
  const failure = saying("down");
  for (let check = 0; check < 5; check++) assert.equal(judge(failure), "up");
  assert.equal(judge(saying("down")), "down");
  const recovery = saying("up");
  for (let check = 0; check < 5; check++) assert.equal(judge(recovery), "down");
  assert.equal(judge(saying("up")), "up");
});

Deno.test("Standings keeps backends and clients apart", () => {
  const standings = new Standings(() => 0);
  const judge = (key: string, word: Word) =>
    standings.judge(key, saying(word), word, false, { fall: 2, rise: 1 });
  judge("a", "up");
  judge("b", "up");
  assert.equal(judge("a", "down").word, "up");
  assert.equal(judge("b", "down").word, "up");
  assert.equal(judge("a", "down").word, "down");
});

Deno.test("Standings forgets a backend that nobody has asked about for ten minutes", () => {
  let now = 0;
  const standings = new Standings(() => now);
  const judge = (word: Word) =>
    standings.judge("a", saying(word), word, false, { fall: 3, rise: 3 }).word;
  assert.equal(judge("up"), "up");
  now += 599_999;
  assert.equal(judge("down"), "up");
  now += 600_000;
  assert.equal(judge("down"), "down");
});

Deno.test("Standings forgets the backend longest not asked about when there are too many", () => {
  const standings = new Standings(() => 0);
  const judge = (key: string, word: Word) =>
    standings.judge(key, saying(word), word, false, { fall: 2, rise: 2 }).word;
  for (let i = 0; i <= 50_000; i++) judge(`${i}`, "up");
  assert.equal(judge("50000", "down"), "up", "the newest is remembered");
  assert.equal(judge("0", "down"), "down", "the oldest is not");
});
