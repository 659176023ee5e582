import assert from "node:assert/strict";
import { damp, Damping, describeStanding, type Standing } from "../../../src/check/damping.ts";
import type { AgentState } from "../../../src/protocol/reply.ts";
import type { BackendVerdict } from "../../../src/protocol/verdict.ts";

const SERVING: BackendVerdict = { kind: "serving" };
const UNREACHABLE: BackendVerdict = { kind: "unreachable", detail: "refused" };

/** One check a letter: up, down, drain at once (NOT_SERVING), Down at once (NOT_SERVING). */
const CHECKS: Readonly<Record<string, readonly [AgentState, boolean]>> = {
  u: ["up", false],
  d: ["down", false],
  r: ["drain", true],
  D: ["down", true],
};

const LETTERS: Readonly<Record<AgentState, string>> = {
  up: "u",
  down: "d",
  drain: "r",
  maint: "m",
};

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
      const [state, atOnce] = CHECKS[letter] ?? ["up", false];
      standing = damp(standing, state, atOnce, { fall, rise });
      return LETTERS[standing.state];
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

Deno.test("Damping counts a run once, however many checks share it", () => {
  const damping = new Damping(() => 0);
  const judge = (run: number, state: AgentState) =>
    damping.judge("a", run, UNREACHABLE, state, { fall: 2, rise: 2 }).state;
  judge(1, "up");
  for (let check = 0; check < 5; check++) assert.equal(judge(2, "down"), "up");
  assert.equal(judge(3, "down"), "down");
  for (let check = 0; check < 5; check++) assert.equal(judge(4, "up"), "down");
  assert.equal(judge(5, "up"), "up");
});

Deno.test("Damping counts each check that has come to a verdict without a run", () => {
  const damping = new Damping(() => 0);
  const judge = (state: AgentState) =>
    damping.judge("a", 0, UNREACHABLE, state, { fall: 3, rise: 1 }).state;
  assert.deepEqual(["up", "down", "down", "down"].map((state) => judge(state as AgentState)), [
    "up",
    "up",
    "up",
    "down",
  ]);
});

Deno.test("Damping keeps backends and clients apart", () => {
  const damping = new Damping(() => 0);
  let run = 0;
  const judge = (key: string, state: AgentState) =>
    damping.judge(key, ++run, UNREACHABLE, state, { fall: 2, rise: 1 }).state;
  judge("a", "up");
  judge("b", "up");
  assert.equal(judge("a", "down"), "up");
  assert.equal(judge("b", "down"), "up");
  assert.equal(judge("a", "down"), "down");
});

Deno.test("Damping counts one run for each client that shares it", () => {
  const damping = new Damping(() => 0);
  const judge = (key: string, run: number, state: AgentState) =>
    damping.judge(key, run, UNREACHABLE, state, { fall: 2, rise: 1 }).state;
  for (const key of ["a", "b"]) judge(key, 1, "up");
  for (const key of ["a", "b"]) assert.equal(judge(key, 2, "down"), "up");
  for (const key of ["a", "b"]) assert.equal(judge(key, 3, "down"), "down");
});

Deno.test("Damping forgets a backend that nobody has asked about for ten minutes", () => {
  let now = 0;
  let run = 0;
  const damping = new Damping(() => now);
  const judge = (state: AgentState) =>
    damping.judge("a", ++run, UNREACHABLE, state, { fall: 3, rise: 3 }).state;
  assert.equal(judge("up"), "up");
  now += 599_999;
  assert.equal(judge("down"), "up");
  now += 600_000;
  assert.equal(judge("down"), "down");
});

Deno.test("Damping forgets the backend longest not asked about when there are too many", () => {
  const damping = new Damping(() => 0);
  let run = 0;
  const judge = (key: string, state: AgentState) =>
    damping.judge(key, ++run, UNREACHABLE, state, { fall: 2, rise: 2 }).state;
  for (let i = 0; i <= 50_000; i++) judge(`${i}`, "up");
  assert.equal(judge("50000", "down"), "up", "the newest is remembered");
  assert.equal(judge("0", "down"), "down", "the oldest is not");
});

Deno.test("Damping repeats the answer of the last minute", () => {
  let now = 0;
  const damping = new Damping(() => now);
  assert.equal(damping.lastAnswer("a"), undefined);
  damping.judge("a", 1, SERVING, "up", { fall: 2, rise: 1 });
  now += 59_999;
  damping.judge("a", 2, UNREACHABLE, "down", { fall: 2, rise: 1 });
  const { verdict, standing } = damping.lastAnswer("a") ?? assert.fail("Nothing is known");
  assert.deepEqual([verdict, standing.state], [UNREACHABLE, "up"]);
  assert.equal(damping.lastAnswer("b"), undefined);
  now += 60_000;
  assert.equal(damping.lastAnswer("a"), undefined);
});

Deno.test("Damping keeps 300 characters of what a backend says", () => {
  const damping = new Damping(() => 0);
  const verdict = { kind: "rpc", code: "INTERNAL", detail: "x".repeat(5000) } as const;
  damping.judge("a", 1, verdict, "down", { fall: 1, rise: 1 });
  const detail = `${"x".repeat(300)}…`;
  assert.deepEqual(damping.lastAnswer("a")?.verdict, { ...verdict, detail });
});

Deno.test("Damping keeps what it has counted when fall changes", () => {
  const damping = new Damping(() => 0);
  damping.judge("a", 1, SERVING, "up", { fall: 1, rise: 1 });
  const { state } = damping.judge("a", 2, UNREACHABLE, "down", { fall: 3, rise: 1 });
  assert.equal(state, "up");
});
