import assert from "node:assert/strict";
import type { AgentState } from "../../../src/protocol/reply.ts";
import type { BackendQuestion } from "../../../src/protocol/request.ts";
import type { AgentFailure, BackendVerdict } from "../../../src/protocol/verdict.ts";
import {
  BackendHistory,
  type BackendRecord,
  RECENT_CHECKS,
  RecentDurations,
} from "../../../src/status/history.ts";

const LACK: AgentFailure = { kind: "local", detail: "EMFILE: no file descriptor is left" };
const SERVING: BackendVerdict = { kind: "serving" };
const REFUSED: BackendVerdict = { kind: "unreachable", detail: "connect ECONNREFUSED" };
const NOT_SERVING: BackendVerdict = { kind: "not_serving", status: "NOT_SERVING" };

/** A question about a host. */
function about(host: string): BackendQuestion {
  const name = "api.internal";
  return {
    key: host,
    host,
    port: 1,
    tls: false,
    tlsProfile: "",
    authority: name,
    serverName: name,
    service: "",
  };
}

/** A history whose clock stands until it is moved. */
class Lab {
  now = 1000;
  readonly history = new BackendHistory(() => this.now);

  add(
    verdict: BackendVerdict,
    state: AgentState,
    { host = "a", note = "", durationMs = 1 } = {},
  ): boolean {
    return this.history.add(about(host), { verdict, state, note, durationMs }, "10.0.0.1:1");
  }

  /** @param at moves the clock there */
  addUnasked(at: number, { host = "a", verdict = LACK } = {}): boolean {
    this.now = at;
    return this.history.addUnasked(about(host), verdict, "10.0.0.1:1");
  }

  get(host = "a"): BackendRecord {
    const record = [...this.history.records()].find(({ question }) => question.host === host);
    assert.ok(record, `${host} is not known`);
    return record;
  }

  get hosts(): string[] {
    return [...this.history.records()].map(({ question }) => question.host);
  }
}

Deno.test("BackendHistory tells the first answer and each change, error types apart", () => {
  const lab = new Lab();
  const timeout: BackendVerdict = { kind: "timeout", detail: "late" };
  assert.deepEqual(
    [
      lab.add(SERVING, "up"),
      lab.add(SERVING, "up"),
      lab.add(REFUSED, "down"),
      lab.add(REFUSED, "down"),
      lab.add(timeout, "down"),
      lab.add(NOT_SERVING, "down"),
      lab.add(SERVING, "up"),
      lab.add(SERVING, "up", { host: "b" }),
    ],
    [true, false, true, false, true, true, true, true],
  );
});

Deno.test("BackendHistory says the state, since when it holds, and the counts", () => {
  const lab = new Lab();
  lab.add(SERVING, "up");
  lab.now = 2000;
  lab.add(SERVING, "up");
  assert.equal(lab.get().since, 1000);
  lab.now = 3000;
  lab.add(REFUSED, "down");
  lab.now = 4000;
  lab.add(REFUSED, "down", { durationMs: 7 });
  const { state, since, lastAskedAt, checks, failures, changes, lastGood, lastFailure, durations } =
    lab.get();
  assert.deepEqual({ state, since, lastAskedAt, checks, failures, changes, lastGood }, {
    state: "down",
    since: 3000,
    lastAskedAt: 4000,
    checks: 4,
    failures: 2,
    changes: 1,
    lastGood: false,
  });
  assert.deepEqual(lastFailure, {
    at: 4000,
    type: "backend_unreachable",
    detail: "connect ECONNREFUSED",
  });
  assert.equal(durations.lastMs, 7);
});

Deno.test("BackendHistory keeps the last failure after the backend has recovered", () => {
  const lab = new Lab();
  lab.add(NOT_SERVING, "drain");
  lab.now = 2000;
  lab.add(SERVING, "up");
  assert.deepEqual(lab.get().lastFailure, { at: 1000, type: "not_serving", detail: "NOT_SERVING" });
  assert.equal(lab.get().lastGood, true);
});

Deno.test("BackendHistory changes the state once when damping tells one client after the other", () => {
  const lab = new Lab();
  lab.add(SERVING, "up");
  lab.add(REFUSED, "up", { note: "1 of 2 failures" });
  assert.equal(lab.get().note, "1 of 2 failures");
  assert.equal(lab.get().state, "up");
  lab.now = 2000;
  lab.add(REFUSED, "down");
  lab.now = 3000;
  lab.add(REFUSED, "up", { note: "1 of 2 failures" });
  lab.add(REFUSED, "down");
  assert.deepEqual(
    { state: lab.get().state, since: lab.get().since, changes: lab.get().changes },
    { state: "down", since: 2000, changes: 1 },
  );
});

Deno.test("BackendHistory cuts what a backend says", () => {
  const lab = new Lab();
  lab.add({ kind: "rpc", code: "INTERNAL", detail: "x".repeat(5000) }, "down");
  assert.equal(lab.get().lastFailure?.detail, `INTERNAL: ${"x".repeat(290)}…`);
});

Deno.test("BackendHistory forgets a backend that nobody has asked about for ten minutes", () => {
  const lab = new Lab();
  lab.add(SERVING, "up");
  lab.now += 300_000;
  lab.add(SERVING, "up", { host: "b" });
  lab.now += 299_999;
  assert.deepEqual(lab.hosts, ["a", "b"]);
  lab.now += 1;
  assert.deepEqual(lab.hosts, ["b"]);
});

Deno.test("BackendHistory holds 10,000 backends, and forgets those whose last check is longest ago", () => {
  const lab = new Lab();
  for (let index = 0; index < 10_000; index++) lab.add(SERVING, "up", { host: `${index}` });
  lab.now++;
  for (let index = 0; index < 9000; index++) lab.add(SERVING, "up", { host: `${index}` });
  assert.equal(lab.hosts.length, 10_000);
  lab.add(SERVING, "up", { host: "new" });
  const hosts = new Set(lab.hosts);
  assert.equal(hosts.size, 9001);
  assert.deepEqual(["0", "8999", "new", "9000", "9999"].map((host) => hosts.has(host)), [
    true,
    true,
    true,
    false,
    false,
  ]);
});

Deno.test("BackendHistory begins anew with a backend that comes back after ten minutes", () => {
  const lab = new Lab();
  lab.add(REFUSED, "down");
  lab.now += 599_999;
  lab.add(REFUSED, "down");
  assert.equal(lab.get().checks, 2);
  // The entry is due between two looks at all of them.
  lab.now += 1;
  lab.add(SERVING, "up", { host: "b" });
  lab.now += 599_999;
  assert.equal(lab.add(SERVING, "up"), true);
  assert.deepEqual([lab.get().checks, lab.get().since], [1, lab.now]);
});

Deno.test("BackendHistory keeps hang-ups apart from checks, and a backend that has never answered", () => {
  const lab = new Lab();
  lab.history.addHangUp(about("a"), "10.0.0.1:1", 400);
  const record = lab.get();
  assert.deepEqual([record.state, record.hungUp, record.checks], ["unanswered", true, 0]);
  assert.deepEqual(record.lastHangUp, { at: 1000, ageMs: 400, peer: "10.0.0.1:1" });
  lab.now = 2000;
  lab.add(REFUSED, "down");
  assert.deepEqual([record.state, record.since, record.changes], ["down", 2000, 0]);
  assert.deepEqual([record.hungUp, record.hangUps, record.checks], [false, 1, 1]);
  lab.history.addHangUp(about("a"), "10.0.0.1:1", 400);
  assert.deepEqual([record.state, record.hungUp, record.hangUps], ["down", true, 2]);
});

Deno.test("BackendHistory keeps a backend that cannot be asked, with its state and counts as they were", () => {
  const lab = new Lab();
  lab.add(REFUSED, "down");
  const { checks, failures, lastFailure } = lab.get();
  for (let at = 2000; at <= 3_600_000; at += 2000) lab.addUnasked(at);
  const record = lab.get();
  assert.deepEqual([record.state, record.since, record.changes], ["down", 1000, 0]);
  assert.deepEqual([record.checks, record.failures], [checks, failures]);
  assert.deepEqual(record.lastFailure, lastFailure);
  assert.equal(record.lastAskedAt, 3_600_000);
  assert.deepEqual(record.unasked, {
    since: 2000,
    at: 3_600_000,
    type: "local",
    detail: "EMFILE: no file descriptor is left",
  });
  assert.equal(lab.add(REFUSED, "down"), false, "The answer is the last one");
  assert.equal(record.unasked, undefined);
});

Deno.test("BackendHistory knows no state of a backend that could never be asked", () => {
  const lab = new Lab();
  lab.addUnasked(2000);
  assert.deepEqual([lab.get().state, lab.get().checks], ["unanswered", 0]);
  lab.now = 3000;
  assert.equal(lab.add(SERVING, "up"), true);
  const { state, since, changes, unasked } = lab.get();
  assert.deepEqual({ state, since, changes, unasked }, {
    state: "up",
    since: 3000,
    changes: 0,
    unasked: undefined,
  });
});

Deno.test("BackendHistory tells of a bug without its stack", () => {
  const lab = new Lab();
  lab.addUnasked(2000, { verdict: { kind: "internal", error: new TypeError("a bug") } });
  const { type, detail } = lab.get().unasked ?? {};
  assert.deepEqual([type, detail], ["internal", "a bug"]);
});

Deno.test("BackendHistory tells once of a backend that could not be asked for a minute", () => {
  const lab = new Lab();
  const told = [0, 30_000, 59_999, 60_000, 61_000].map((at) => lab.addUnasked(at));
  assert.deepEqual(told, [false, false, false, true, false]);
  assert.equal(lab.history.countUnasked(), 1);
});

Deno.test("BackendHistory counts the minute anew after a check that was made, and for each backend by itself", () => {
  const lab = new Lab();
  for (const host of ["a", "b"]) lab.addUnasked(0, { host });
  lab.addUnasked(59_000, { host: "b" });
  lab.add(SERVING, "up");
  assert.equal(lab.addUnasked(59_000), false);
  assert.deepEqual([lab.addUnasked(60_000), lab.addUnasked(60_000, { host: "b" })], [false, true]);
  assert.equal(lab.history.countUnasked(), 1);
});

Deno.test("BackendHistory counts a backend that cannot be asked no longer once nobody has asked for a minute", () => {
  const lab = new Lab();
  for (let at = 0; at <= 60_000; at += 20_000) lab.addUnasked(at);
  assert.equal(lab.history.countUnasked(), 1);
  lab.now = 120_000;
  assert.equal(lab.history.countUnasked(), 0);
  assert.equal(lab.addUnasked(120_000), false, "It begins anew");
  assert.deepEqual([lab.history.countUnasked(), lab.get().unasked?.since], [0, 120_000]);
});

Deno.test("BackendHistory keeps what the agent lacks when a client hangs up", () => {
  const lab = new Lab();
  for (let at = 0; at < 60_000; at += 20_000) lab.addUnasked(at);
  lab.history.addHangUp(about("a"), "10.0.0.1:1", 400);
  assert.equal(lab.get().hungUp, true);
  assert.equal(lab.addUnasked(60_000), true);
  assert.equal(lab.get().hungUp, false);
});

for (const count of [0, 1, 2, 29, 30, 31, 59, 60, 61, 100]) {
  Deno.test(`RecentDurations lists the last checks of ${count}, oldest first`, () => {
    const durations = new RecentDurations();
    const all = Array.from({ length: count }, (_, index) => ({
      durationMs: index,
      failed: index % 3 === 0,
    }));
    for (const { durationMs, failed } of all) durations.add(durationMs, failed);
    assert.deepEqual(durations.list(), all.slice(-RECENT_CHECKS));
    assert.equal(durations.lastMs, all.at(-1)?.durationMs ?? 0);
  });
}

Deno.test("BackendHistory tells a failure that damping holds back, and then the change of the state", () => {
  const lab = new Lab();
  lab.add(SERVING, "up");
  assert.equal(lab.add(REFUSED, "up", { note: "1 of 2 failures" }), true, "the check has failed");
  assert.equal(lab.add(REFUSED, "down"), true, "HAProxy is told");
  assert.equal(lab.add(REFUSED, "down"), false);
});

Deno.test("BackendHistory forgets what can no longer be asked", () => {
  const lab = new Lab();
  lab.add(SERVING, "up");
  lab.add(SERVING, "up", { host: "b" });
  lab.history.keepOnly(({ host }) => host === "b");
  assert.deepEqual(lab.hosts, ["b"]);
});
