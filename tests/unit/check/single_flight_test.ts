import assert from "node:assert/strict";
import type { CheckProgress, RunningCheck } from "../../../src/check/health_client.ts";
import { SingleFlight } from "../../../src/check/single_flight.ts";
import type { Verdict } from "../../../src/protocol/verdict.ts";
import { FakeTime } from "../../lab/unit/fake_time.ts";

const SERVING: Verdict = { kind: "serving" };
const PATIENCE_MS = 400;

/** A run whose end the test decides. */
class Run implements RunningCheck {
  readonly verdict: Promise<Verdict>;
  cancelled = 0;
  readonly #end: PromiseWithResolvers<Verdict> = Promise.withResolvers();

  constructor() {
    this.verdict = this.#end.promise;
  }

  end(verdict: Verdict = SERVING): void {
    this.#end.resolve(verdict);
  }

  fail(error: Error): void {
    this.#end.reject(error);
  }

  progress(): CheckProgress {
    const waitsFor = "The RPC did not end in time";
    return { answer: undefined, lack: undefined, waitsFor };
  }

  joined(): void {}

  cancel(): void {
    this.cancelled++;
  }
}

Deno.test("SingleFlight shares a run under way, and not one that has ended", async () => {
  const flights = new SingleFlight(true, 0);
  const run = new Run();
  const flight = flights.add("a", run, performance.now());
  assert.equal(flights.find("a", PATIENCE_MS), flight);
  assert.equal(flights.find("b", PATIENCE_MS), undefined);
  run.end();
  assert.deepEqual(await flight.observation, {
    verdict: SERVING,
    run: flight.run,
  });
  assert.equal(flights.find("a", PATIENCE_MS), undefined);
  assert.equal(flights.kept("a"), undefined);
});

Deno.test("SingleFlight shares nothing where checks are not coalesced", () => {
  const flights = new SingleFlight(false, 0);
  flights.add("a", new Run(), performance.now());
  assert.equal(flights.find("a", PATIENCE_MS), undefined);
});

Deno.test("SingleFlight lets nobody join a run that is older than the joiner allows", () => {
  using time = new FakeTime();
  const flights = new SingleFlight(true, 0);
  const flight = flights.add("a", new Run(), performance.now());
  time.passes(399);
  assert.equal(flights.find("a", PATIENCE_MS), flight);
  assert.equal(flights.find("a", 399), undefined);
  time.passes(1);
  assert.equal(flights.find("a", PATIENCE_MS), undefined);
});

Deno.test("SingleFlight lets nobody join a run that somebody has given up", () => {
  const flights = new SingleFlight(true, 0);
  const flight = flights.add("a", new Run(), performance.now());
  flight.open = false;
  assert.equal(flights.find("a", PATIENCE_MS), undefined);
});

Deno.test("A flight is cancelled when the last that waits for it has left", () => {
  const flights = new SingleFlight(true, 0);
  const run = new Run();
  const flight = flights.add("a", run, performance.now());
  flight.join(1000);
  flight.join(1000);
  flight.leave();
  assert.equal(run.cancelled, 0);
  flight.leave();
  assert.equal(run.cancelled, 1);
  assert.equal(flights.find("a", PATIENCE_MS), undefined);
});

Deno.test("A flight that was given up does not displace the one begun after it", async () => {
  const flights = new SingleFlight(true, 0);
  const [old, fresh] = [new Run(), new Run()];
  const first = flights.add("a", old, performance.now());
  first.join(1000);
  first.open = false;
  const second = flights.add("a", fresh, performance.now());
  first.leave();
  assert.equal(flights.find("a", PATIENCE_MS), second);
  old.end();
  await first.observation;
  assert.equal(flights.find("a", PATIENCE_MS), second);
});

Deno.test("Each run has a number of its own, across configurations", () => {
  const [before, after] = [new SingleFlight(true, 0), new SingleFlight(true, 0)];
  const numbers = [before, before, after, after].map((flights) =>
    flights.add("a", new Run(), performance.now()).run
  );
  assert.equal(new Set(numbers).size, 4);
  assert.ok(!numbers.includes(0));
});

Deno.test("A run that rejects against its contract is `internal` for all that wait for it", async () => {
  const flights = new SingleFlight(true, 1000);
  const run = new Run();
  const flight = flights.add("a", run, performance.now());
  const error = new TypeError("a bug");
  run.fail(error);
  const { verdict } = await flight.observation;
  assert.deepEqual(verdict, { kind: "internal", error });
  assert.equal(flights.kept("a"), undefined);
});

const KEPT: readonly [Verdict, boolean][] = [
  [SERVING, true],
  [{ kind: "not_serving", status: "NOT_SERVING" }, true],
  [{ kind: "unreachable", detail: "" }, true],
  [{ kind: "timeout", detail: "" }, true],
  [{ kind: "tls", detail: "" }, true],
  [{ kind: "dns", detail: "" }, true],
  [{ kind: "rpc", code: "UNAVAILABLE", detail: "" }, true],
  [{ kind: "denied" }, false],
  [{ kind: "local", detail: "" }, false],
  [{ kind: "internal", error: new Error() }, false],
];

for (const [verdict, kept] of KEPT) {
  Deno.test(`SingleFlight ${kept ? "keeps" : "does not keep"} a run's verdict that is ${verdict.kind}`, async () => {
    const flights = new SingleFlight(true, 1000);
    const run = new Run();
    const flight = flights.add("a", run, performance.now());
    run.end(verdict);
    await flight.observation;
    assert.deepEqual(flights.kept("a")?.verdict, kept ? verdict : undefined);
  });
}

Deno.test("SingleFlight keeps 300 characters of what a backend says, and gives those that wait all of it", async () => {
  const flights = new SingleFlight(true, 1000);
  const run = new Run();
  const flight = flights.add("a", run, performance.now());
  const verdict: Verdict = { kind: "rpc", code: "INTERNAL", detail: "x".repeat(5000) };
  run.end(verdict);
  assert.equal((await flight.observation).verdict, verdict);
  const detail = `${"x".repeat(300)}…`;
  assert.deepEqual(flights.kept("a"), { verdict: { ...verdict, detail }, run: flight.run });
});

Deno.test("SingleFlight counts the age of a verdict from the beginning of its run", async () => {
  using time = new FakeTime();
  const flights = new SingleFlight(true, 1000);
  const run = new Run();
  const flight = flights.add("a", run, performance.now());
  time.passes(600);
  run.end();
  await flight.observation;
  time.passes(400);
  assert.equal(flights.kept("a")?.run, flight.run);
  time.passes(1);
  assert.equal(flights.kept("a"), undefined);
});

Deno.test("SingleFlight keeps the observation of the run that was begun last", async () => {
  const flights = new SingleFlight(true, 5000);
  const [older, newer] = [new Run(), new Run()];
  const now = performance.now();
  const observations = [flights.add("a", older, now - 600), flights.add("a", newer, now)]
    .map(({ observation }) => observation);
  newer.end({ kind: "not_serving", status: "NOT_SERVING" });
  await observations[1];
  older.end(SERVING);
  await observations[0];
  assert.equal(flights.kept("a")?.verdict.kind, "not_serving");
});
