import assert from "node:assert/strict";
import type { Checker, PendingCheck } from "../../../src/check/checker.ts";
import { Damping } from "../../../src/check/damping.ts";
import { setUpLogging } from "../../../src/log/log.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { Recorder } from "../../../src/metrics/recorder.ts";
import type { CheckRequest } from "../../../src/protocol/request.ts";
import type { Verdict } from "../../../src/protocol/verdict.ts";
import type { Peer } from "../../../src/server/connection.ts";
import { Handler, type HandlerOptions } from "../../../src/server/handler.ts";
import { ClientPatience } from "../../../src/server/patience.ts";
import { BackendHistory } from "../../../src/status/history.ts";
import { FakeTime } from "../../lab/unit/fake_time.ts";

const LINE = "10.0.3.7 1 no-ssl api";
const PEER: Peer = { host: "10.0.0.1", text: "10.0.0.1:1" };
const OTHER_PEER: Peer = { host: "10.0.0.2", text: "10.0.0.2:1" };

const SERVING: Verdict = { kind: "serving" };
const NOT_SERVING: Verdict = { kind: "not_serving", status: "NOT_SERVING" };
const TIMEOUT: Verdict = { kind: "timeout", detail: "late" };
const LOCAL: Verdict = { kind: "local", detail: "EMFILE" };
const BUG: Verdict = { kind: "internal", error: new TypeError("a bug") };

/** A handler, what it asks, and what an operator sees of it. */
class Lab {
  /** What the next check comes to. */
  verdict: Verdict = SERVING;
  /** The RPC that it comes from; each has its own unless the test says otherwise. */
  run: number | undefined;
  checks = 0;
  abandoned = 0;
  /** How long each check could take. */
  readonly deadlines: (number | undefined)[] = [];
  readonly entries: Record<string, unknown>[] = [];
  readonly metrics = new Metrics();
  readonly handler: Handler;

  constructor(
    options?: Partial<HandlerOptions>,
    checker?: Partial<Checker>,
    patience?: ClientPatience,
  ) {
    const logs = setUpLogging({
      level: "info",
      levels: new Map(),
      format: "json",
      colour: false,
      write: (line) => this.entries.push(JSON.parse(line)),
    });
    const recorder = new Recorder(this.metrics, logs, new BackendHistory(() => 0), "none");
    const asked = { hasTlsProfile: () => true, check: this.#check.bind(this), ...checker };
    this.handler = new Handler(
      { fall: 1, rise: 1, notServingReply: "down", reason: false, ...options },
      asked as Checker,
      new Damping(() => performance.now()),
      recorder,
      patience,
    );
  }

  async ask(verdict = this.verdict, line = LINE, peer = PEER): Promise<string | undefined> {
    this.verdict = verdict;
    return await this.handler.handle(line, peer).reply;
  }

  inFlight(): number {
    return this.metrics.checksInFlight;
  }

  #check(_request: CheckRequest, patienceMs?: number): PendingCheck {
    this.checks++;
    this.deadlines.push(patienceMs);
    const { verdict, run = this.checks } = this;
    return {
      observation: Promise.resolve({ verdict, run }),
      abandon: () => this.abandoned++,
    };
  }
}

const REPLIES: readonly [Verdict, Partial<HandlerOptions>, string][] = [
  [SERVING, {}, "up\n"],
  [SERVING, { notServingReply: "drain" }, "up ready\n"],
  [NOT_SERVING, {}, "down\n"],
  [NOT_SERVING, { notServingReply: "maint" }, "maint\n"],
  [TIMEOUT, {}, "down\n"],
  [TIMEOUT, { reason: true }, "down #timeout: late\n"],
];

for (const [verdict, options, reply] of REPLIES) {
  Deno.test(`Handler says ${reply.trim()} of ${verdict.kind} with ${JSON.stringify(options)}`, async () => {
    const lab = new Lab(options);
    assert.equal(await lab.ask(verdict), reply);
    assert.equal(lab.inFlight(), 0);
  });
}

for (const [what, line] of [["no request", "GET / HTTP/1.1"], ["empty", ""]] as const) {
  Deno.test(`Handler refuses a line that is ${what} at once and asks nothing`, async () => {
    const lab = new Lab({ reason: true });
    const { reply } = lab.handler.handle(line, PEER);
    assert.match(`${reply}`, /^down #parse_error: /);
    assert.equal(lab.checks, 0);
    assert.equal((await lab.metrics.counts()).errors.parse_error, 1);
  });
}

Deno.test("Handler refuses a line whose TLS profile does not exist", async () => {
  const lab = new Lab({ reason: true }, { hasTlsProfile: () => false });
  const reply = await lab.ask(SERVING, "10.0.3.7 1 ssl api tls=other");
  assert.equal(reply, "down #parse_error: the TLS profile does not exist\n");
});

Deno.test("Handler damps by the line's thresholds rather than the configuration's", async () => {
  const lab = new Lab({ fall: 1, rise: 1 });
  const ask = (verdict: Verdict) => lab.ask(verdict, `${LINE} fall=2`);
  assert.equal(await ask(SERVING), "up\n");
  assert.equal(await ask(TIMEOUT), "up\n");
  assert.equal(await ask(TIMEOUT), "down\n");
});

Deno.test("Handler counts clients apart, and a run once for each", async () => {
  const lab = new Lab({ fall: 2 });
  for (const peer of [PEER, OTHER_PEER]) assert.equal(await lab.ask(SERVING, LINE, peer), "up\n");
  lab.run = 100;
  for (const peer of [PEER, PEER, OTHER_PEER]) {
    assert.equal(await lab.ask(TIMEOUT, LINE, peer), "up\n");
  }
  lab.run = 101;
  assert.equal(await lab.ask(TIMEOUT, LINE, PEER), "down\n");
});

Deno.test("Handler takes NOT_SERVING at its word, whatever fall says", async () => {
  const lab = new Lab({ fall: 3 });
  await lab.ask(SERVING);
  assert.equal(await lab.ask(NOT_SERVING), "down\n");
});

for (const [what, failure] of [["a lack", LOCAL], ["a bug", BUG]] as const) {
  Deno.test(`Handler says nothing of ${what} of the agent's before it has ever answered`, async () => {
    const lab = new Lab();
    assert.equal(await lab.ask(failure), undefined);
    const counts = await lab.metrics.counts();
    assert.equal(counts.errors[failure.kind as "local" | "internal"], 1);
    assert.equal(lab.entries.length, 1);
    assert.equal(lab.entries[0]?.level, "error");
  });

  Deno.test(`Handler repeats its answer of the last minute at ${what} of the agent's`, async () => {
    using time = new FakeTime();
    const lab = new Lab();
    for (const verdict of [SERVING, NOT_SERVING]) {
      const reply = await lab.ask(verdict);
      time.passes(59_999);
      assert.equal(await lab.ask(failure), reply);
      time.passes(1);
      assert.equal(await lab.ask(failure), undefined, "a repeated answer grows old all the same");
    }
  });

  Deno.test(`Handler repeats no answer to another client or line at ${what} of the agent's`, async () => {
    const lab = new Lab();
    await lab.ask(SERVING);
    assert.equal(await lab.ask(failure, LINE, OTHER_PEER), undefined);
    assert.equal(await lab.ask(failure, `${LINE} service=other`), undefined);
  });

  Deno.test(`Handler leaves fall and rise untouched at ${what} of the agent's`, async () => {
    const lab = new Lab({ fall: 2 });
    const replies = [];
    for (const verdict of [SERVING, TIMEOUT, failure, failure, TIMEOUT]) {
      replies.push(await lab.ask(verdict));
    }
    assert.deepEqual(replies, ["up\n", "up\n", "up\n", "up\n", "down\n"]);
  });
}

const BROKEN: readonly [string, Partial<Checker>][] = [
  ["cannot say whether a TLS profile exists", {
    hasTlsProfile() {
      throw new TypeError("a bug");
    },
  }],
  ["cannot begin a check", {
    check() {
      throw new TypeError("a bug");
    },
  }],
  ["breaks its word never to reject", {
    check: () => ({
      observation: Promise.reject(new TypeError("a bug")),
      abandon: () => {},
    }),
  }],
];

for (const [what, checker] of BROKEN) {
  Deno.test(`Handler survives a checker that ${what}, counts and logs it each time`, async () => {
    const lab = new Lab({}, checker);
    assert.deepEqual([await lab.ask(), await lab.ask()], [undefined, undefined]);
    assert.equal(lab.entries.length, 2);
    for (const { level, error_type, error } of lab.entries) {
      assert.deepEqual([level, error_type], ["error", "internal"]);
      assert.match(`${error}`, /TypeError: a bug\n +at /);
    }
    const { results, errors } = await lab.metrics.counts();
    assert.deepEqual([results.error, errors.internal], [2, 2]);
    assert.equal(lab.inFlight(), 0);
  });
}

Deno.test("Handler gives a check up once when its client hangs up, and counts it as ended", () => {
  const lab = new Lab({}, {
    check: () => ({ observation: new Promise(() => {}), abandon: () => lab.abandoned++ }),
  });
  const pending = lab.handler.handle(LINE, PEER);
  assert.equal(lab.inFlight(), 1);
  pending.abandon();
  pending.abandon();
  assert.equal(lab.abandoned, 1);
  assert.equal(lab.inFlight(), 0);
});

Deno.test("Handler gives nothing up that has ended", async () => {
  const lab = new Lab();
  const pending = lab.handler.handle(LINE, PEER);
  await pending.reply;
  pending.abandon();
  assert.equal(lab.abandoned, 0);
  assert.equal(lab.inFlight(), 0);
});

const NEVER: Partial<Checker> = {
  check: () => ({ observation: new Promise(() => {}), abandon: () => {} }),
};

async function abandoned(lab: Lab): Promise<number> {
  const [, count] = /^haproxy_grpc_agent_checks_abandoned_total (\d+)$/m.exec(
    await lab.metrics.render(),
  ) ?? [];
  return Number(count);
}

Deno.test("Handler tells of hang-ups again when they come after another time than the one it has told", async () => {
  const lab = new Lab({}, NEVER);
  for (const ageMs of [56, 600, 602, 601, 598]) {
    lab.handler.handle(LINE, PEER).abandon("reset", performance.now() + ageMs);
  }
  await lab.handler.handle("", PEER).reply;
  const told = lab.entries.filter(({ level, by }) => level === "warn" && by === "reset");
  assert.deepEqual(told.map(({ after_ms }) => after_ms), [56, 602]);
});

for (const hangUp of ["reset", "closed"] as const) {
  Deno.test(`Handler counts a check whose client goes (${hangUp}), and tells it once per client and backend`, async () => {
    const lab = new Lab({}, NEVER);
    for (const peer of [PEER, PEER, OTHER_PEER, OTHER_PEER]) {
      const pending = lab.handler.handle(`${LINE} fall=2`, peer);
      pending.abandon(hangUp, performance.now() + 1003);
      pending.abandon(hangUp, performance.now() + 1003);
    }
    assert.equal(await abandoned(lab), 4);
    assert.deepEqual(lab.entries.map(({ level, peer, by }) => [level, peer, by]), [
      ["warn", PEER.text, hangUp],
      ["warn", OTHER_PEER.text, hangUp],
    ]);
    assert.match(
      `${lab.entries[0]?.cure}`,
      /^HAProxy hung up after 1003 ms, before the answer; lower check_timeout_ms below it, or raise agent-inter or timeout check$/,
    );
  });
}

Deno.test("Handler counts no check that the agent itself closes on", async () => {
  const lab = new Lab({}, NEVER);
  lab.handler.handle(LINE, PEER).abandon();
  assert.equal(await abandoned(lab), 0);
  assert.deepEqual(lab.entries, []);
});

Deno.test("Handler counts no reset that comes after the verdict: so HAProxy ends each connection", async () => {
  const lab = new Lab();
  const pending = lab.handler.handle(LINE, PEER);
  await pending.reply;
  pending.abandon("reset");
  assert.equal(await abandoned(lab), 0);
});

Deno.test("Handler counts a client that has closed although its answer was written", async () => {
  const lab = new Lab();
  const pending = lab.handler.handle(LINE, PEER);
  await pending.reply;
  pending.abandon("closed", performance.now());
  assert.equal(await abandoned(lab), 1);
});

/** What was learnt of a client that goes so often after 400 ms. */
function patienceAfter(time: FakeTime, count: number, hangUp?: "reset" | "closed"): ClientPatience {
  const patience = new ClientPatience(() => performance.now(), {
    onLearnt: () => {},
    onUnlearnt: () => {},
  });
  const lab = new Lab({}, NEVER, patience);
  for (let nth = 0; nth < count; nth++) {
    const pending = lab.handler.handle(LINE, PEER);
    time.passes(400);
    pending.abandon(hangUp);
  }
  return patience;
}

const TEACHERS: readonly [string, number, "reset" | "closed" | undefined, number][] = [
  ["three resets", 3, "reset", 375],
  ["two resets", 2, "reset", Infinity],
  ["polite closes", 5, "closed", Infinity],
  ["checks on which the agent itself closes", 5, undefined, Infinity],
];

for (const [what, count, hangUp, deadlineMs] of TEACHERS) {
  Deno.test(`Handler lets a check take ${deadlineMs} ms at most after ${what}`, async () => {
    using time = new FakeTime();
    const lab = new Lab({}, {}, patienceAfter(time, count, hangUp));
    await lab.ask();
    assert.deepEqual(lab.deadlines, [deadlineMs]);
  });
}

const LATE_ANSWERS: readonly [string, Verdict, Partial<HandlerOptions>, boolean, number][] = [
  ["a good answer that is delivered", SERVING, {}, true, Infinity],
  ["a good answer that is not delivered", SERVING, {}, false, 375],
  ["`down`", TIMEOUT, {}, true, 375],
  ["`up` that fall says of a timeout", TIMEOUT, { fall: 3 }, true, 375],
  ["`drain` of a backend", NOT_SERVING, { notServingReply: "drain" }, true, Infinity],
];

for (const [what, verdict, options, delivered, deadlineMs] of LATE_ANSWERS) {
  Deno.test(`Handler: ${what} later than the resets leaves ${deadlineMs} ms`, async () => {
    using time = new FakeTime();
    const lab = new Lab(options, {}, patienceAfter(time, 3, "reset"));
    if (options.fall !== undefined) await lab.ask(SERVING);
    lab.verdict = verdict;
    const pending = lab.handler.handle(LINE, PEER);
    time.passes(800);
    await pending.reply;
    if (delivered) pending.delivered();
    await lab.ask();
    assert.equal(lab.deadlines.at(-1), deadlineMs);
  });
}

Deno.test("Handler joins the log lines of a line by one trace id", async () => {
  const lab = new Lab();
  lab.verdict = TIMEOUT;
  const pending = lab.handler.handle(LINE, PEER);
  await pending.reply;
  pending.abandon("closed");
  lab.handler.handle("GET / HTTP/1.1", PEER);
  const [failed, hungUp, refused] = lab.entries.map(({ trace_id }) => trace_id);
  assert.equal(lab.entries.length, 3);
  assert.match(`${failed}`, /^[0-9a-f]{32}$/);
  assert.equal(hungUp, failed);
  assert.notEqual(refused, failed);
});
