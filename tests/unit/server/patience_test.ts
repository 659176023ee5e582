import assert from "node:assert/strict";
import { parseRequest } from "../../../src/protocol/request.ts";
import type { LearntPatience } from "../../../src/server/patience.ts";
import { ClientPatience } from "../../../src/server/patience.ts";

const LINE = "10.0.3.7 1 no-ssl api";
const CLIENT = "10.0.0.1";
const MINUTE = 60_000;

/** What clients do, with a clock that moves as far as each check takes. */
class Lab {
  now = 1000;
  readonly learnt: number[] = [];
  readonly unlearnt: number[] = [];
  readonly patience = new ClientPatience(() => this.now, {
    onLearnt: ({ deadlineMs }) => this.learnt.push(deadlineMs),
    onUnlearnt: ({ deadlineMs }) => this.unlearnt.push(deadlineMs),
  });

  /** A check that the client ends by a reset after so long. */
  reset(ageMs: number, line = LINE, client = CLIENT): void {
    const parsed = parseRequest(LINE);
    assert.ok(parsed.ok);
    this.now += ageMs;
    this.patience.onReset(client, line, parsed.request, ageMs);
  }

  /** A check whose good answer the client takes after so long. */
  up(ageMs: number): void {
    this.now += ageMs;
    this.patience.onGoodAnswer(CLIENT, LINE, ageMs);
  }

  deadline(line = LINE, client = CLIENT): number {
    return this.patience.deadlineFor(client, line);
  }
}

/** One event: a reset at an age, `up` at an age, or time that passes. */
type Event = number | { readonly up: number } | { readonly pass: number };

/** Their checks of a frozen server by turns. */
const TWO_HAPROXIES = [400, 1000, 400, 1000, 400, 1000, 400, 1000];

const ROWS: readonly [string, readonly Event[], number][] = [
  ["nothing is learnt of a client that waits", [], Infinity],
  ["two resets are not enough", [400, 400], Infinity],
  ["three resets in a row teach", [400, 400, 400], 375],
  ["from 500 ms on a twentieth is left for the answer", [1000, 1000, 1000], 950],
  ["ages within 5 % are the same, and the smallest counts", [1050, 1000, 1050], 950],
  ["ages are compared all with all", [1000, 1049, 1099, 1050], Infinity],
  ["an age that differs by more than 5 % begins anew", [400, 400, 421, 400, 400], Infinity],
  ["ages that drift apart are not the same", [400, 415, 430], Infinity],
  ["100 ms is learnt", [100, 100, 100], 75],
  ["less than 100 ms is not", [99, 99, 99, 99, 99], Infinity],
  ["less than 100 ms does not break a run either", [400, 400, 20, 400], 375],
  ["random ages, each once", [150, 900, 400, 1300, 600, 250, 1700, 110, 750], Infinity],
  [
    "two of each are not three in a row",
    [150, 150, 900, 900, 400, 400, 1300, 1300, 600, 600, 250, 250],
    Infinity,
  ],
  ["strays between resets begin anew", [400, 400, 700, 400, 1000, 400, 1500, 400, 200], Infinity],
  ["an `up` that comes sooner does not break a run", [400, 400, { up: 340 }, 400], 375],
  ["an `up` at that very age does not", [400, 400, { up: 400 }, 400], 375],
  ["an `up` that comes later does", [400, 400, { up: 401 }, 400, 400], Infinity],
  ["after which three resets teach again", [400, 400, { up: 900 }, 400, 400, 400], 375],
  ["an `up` that comes later ends what is learnt", [400, 400, 400, { up: 401 }], Infinity],
  ["an `up` that comes sooner does not", [400, 400, 400, { up: 400 }], 375],
  ["of two HAProxies the shorter one counts", TWO_HAPROXIES, 375],
  ["of two HAProxies the longer one is learnt first", [400, 1000, 1000, 1000], 950],
  ["of two HAProxies one asks more often", [400, 400, 3000, 400, 400, 400, 400, 3000], 375],
  [
    "four HAProxies",
    Array.from({ length: 16 }, (_, nth) => [400, 700, 1000, 1500][nth % 4] ?? 0),
    375,
  ],
  [
    "of two HAProxies an `up` between their ages ends the shorter one",
    [...TWO_HAPROXIES, { up: 700 }],
    950,
  ],
  [
    "an `up` beyond both ends both",
    [...TWO_HAPROXIES, { up: 1001 }],
    Infinity,
  ],
  [
    "random ages end nothing that is learnt",
    [400, 400, 400, 150, 900, 1300, 600, 250, 1700, 110],
    Infinity,
  ],
  ["ten minutes are too long between resets", [400, 400, { pass: 10 * MINUTE }, 400], Infinity],
];

for (const [what, events, deadlineMs] of ROWS) {
  Deno.test(`ClientPatience: ${what}`, () => {
    const lab = new Lab();
    for (const event of events) {
      if (typeof event === "number") lab.reset(event);
      else if ("up" in event) lab.up(event.up);
      else lab.now += event.pass;
    }
    assert.equal(lab.deadline(), deadlineMs);
  });
}

Deno.test("ClientPatience learns nothing from checks that all ended at the same moment", () => {
  const lab = new Lab();
  const parsed = parseRequest(LINE);
  assert.ok(parsed.ok);
  for (let nth = 0; nth < 10; nth++) {
    lab.patience.onReset(CLIENT, LINE, parsed.request, 400);
  }
  assert.equal(lab.deadline(), Infinity);
});

Deno.test("ClientPatience applies what it learns to that client and that line alone", () => {
  const lab = new Lab();
  for (let nth = 0; nth < 3; nth++) lab.reset(400);
  assert.equal(lab.deadline(), 375);
  assert.equal(lab.deadline(`${LINE} fall=2`), Infinity);
  assert.equal(lab.deadline(LINE, "10.0.0.2"), Infinity);
});

Deno.test("ClientPatience counts no reset of another client or line", () => {
  const lab = new Lab();
  lab.reset(400);
  lab.reset(400, `${LINE} fall=2`);
  lab.reset(400, LINE, "10.0.0.2");
  lab.reset(400);
  assert.equal(lab.deadline(), Infinity);
});

Deno.test("ClientPatience lets one check a minute run to its usual deadline", () => {
  const lab = new Lab();
  for (let nth = 0; nth < 3; nth++) lab.reset(400);
  lab.now += MINUTE - 1;
  assert.equal(lab.deadline(), 375);
  for (let minute = 0; minute < 5; minute++) {
    lab.now += minute === 0 ? 1 : MINUTE;
    assert.equal(lab.deadline(), Infinity);
    assert.equal(lab.deadline(), 375);
  }
});

Deno.test("ClientPatience ends ten minutes after the last reset, which each minute's check may bring", () => {
  const lab = new Lab();
  for (let nth = 0; nth < 3; nth++) lab.reset(400);
  const learntAt = lab.now;
  for (let minute = 0; minute < 30; minute++) {
    lab.now += MINUTE;
    assert.equal(lab.deadline(), Infinity);
    lab.reset(400);
    assert.equal(lab.deadline(), 375);
  }
  assert.ok(lab.now - learntAt > 10 * MINUTE);
  lab.deadline();
  lab.now += 10 * MINUTE - 1;
  assert.equal([...lab.patience.learnt()].length, 1);
  lab.now += 1;
  assert.equal([...lab.patience.learnt()].length, 0);
  assert.equal(lab.deadline(), Infinity);
  assert.equal(lab.deadline(), Infinity);
});

Deno.test("ClientPatience tells once what is learnt, when it gets shorter, and when it ends", () => {
  const lab = new Lab();
  for (let nth = 0; nth < 6; nth++) lab.reset(1000);
  lab.reset(400);
  for (let nth = 0; nth < 6; nth++) lab.reset(400);
  for (let nth = 0; nth < 3; nth++) lab.reset(3000);
  assert.deepEqual(lab.learnt, [950, 375]);
  lab.up(2);
  assert.deepEqual(lab.unlearnt, []);
  lab.up(1800);
  assert.deepEqual(lab.unlearnt, [375]);
});

Deno.test("ClientPatience shows the shortest patience of each client and line", () => {
  const lab = new Lab();
  for (const age of TWO_HAPROXIES) lab.reset(age);
  for (let nth = 0; nth < 3; nth++) lab.reset(700, LINE, "10.0.0.2");
  const shown = [...lab.patience.learnt()].map(
    (
      { client, ageMs, deadlineMs, question }: LearntPatience,
    ) => [client, ageMs, deadlineMs, question.host],
  );
  assert.deepEqual(shown, [[CLIENT, 400, 375, "10.0.3.7"], ["10.0.0.2", 700, 665, "10.0.3.7"]]);
  lab.patience.clear();
  assert.deepEqual([...lab.patience.learnt()], []);
  assert.equal(lab.deadline(), Infinity);
});

/** Numbers from 0 to 1 that are the same in each run (Mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

Deno.test("ClientPatience learns next to nothing from random ages that are not the same three times in a row", () => {
  const random = randomNumbers(1);
  let learnt = 0;
  for (let round = 0; round < 2000; round++) {
    const lab = new Lab();
    const ages: number[] = [];
    // As many reloads of HAProxy, one a minute, each in the middle of a check of a slow server.
    for (let reload = 0; reload < 10;) {
      const age = 100 + 1700 * random();
      const lastThree = [...ages.slice(-2), age];
      if (reload > 1 && Math.max(...lastThree) <= Math.min(...lastThree) * 1.05) continue;
      ages.push(age);
      lab.reset(age);
      lab.now += MINUTE;
      reload++;
    }
    learnt += lab.learnt.length;
  }
  assert.ok(learnt <= 10, `${learnt} of 2000 times`);
});

Deno.test("ClientPatience holds 10,000 lines, 2000 of a client, and forgets those not asked for longest", () => {
  const lab = new Lab();
  const teach = (line: string, client: string) => {
    for (let nth = 0; nth < 3; nth++) lab.reset(400, line, client);
  };
  teach("first", CLIENT);
  for (let line = 0; line < 2000; line++) {
    lab.patience.deadlineFor("10.0.0.9", LINE);
    lab.now -= 1200;
    teach(`${line}`, CLIENT);
  }
  assert.equal(lab.deadline("first"), Infinity);
  assert.equal(lab.deadline("0"), 375);
  for (let client = 2; client <= 6; client++) {
    for (let line = 0; line < 2000; line++) {
      lab.now -= 1200;
      teach(`${line}`, `10.0.0.${client}`);
    }
  }
  assert.equal([...lab.patience.learnt()].length, 10_000);
  assert.equal(lab.deadline("0"), Infinity, "The client that has not asked for longest is gone");
  assert.equal(lab.deadline("0", "10.0.0.2"), 375);
});
