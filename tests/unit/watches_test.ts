import assert from "node:assert/strict";
import { Watches } from "../../src/check/watches.ts";

/** A stream that the test has been asked to open. */
interface Opened {
  readonly service: string;
  readonly tell: (status: string) => void;
  readonly break: () => void;
  ended: boolean;
}

/** Watches with a clock and streams of the test's own. */
class Lab {
  now = 50_000;
  readonly opened: Opened[] = [];
  readonly watches = new Watches(
    { verifyMs: 5000, idleTimeoutMs: 60_000 },
    (service, tell, end) => {
      const stream = { service, tell, break: end, ended: false };
      this.opened.push(stream);
      return () => stream.ended = true;
    },
    () => this.now,
  );

  /** The services with an open stream. */
  get streaming(): string[] {
    return this.opened.filter(({ ended }) => !ended).map(({ service }) => service);
  }

  /** The stream that was opened last. */
  get last(): Opened {
    const last = this.opened.at(-1);
    assert.ok(last);
    return last;
  }

  /** A good Check, and what the stream says at its beginning. */
  watch(service: string): void {
    this.watches.checked(service, "SERVING");
    this.last.tell("SERVING");
  }
}

Deno.test("Watches opens one stream for a service, after its first good Check", () => {
  const { watches, opened } = new Lab();
  assert.equal(watches.recall(""), undefined);
  assert.equal(opened.length, 0);
  watches.checked("", "NOT_SERVING");
  watches.checked("", "NOT_SERVING");
  assert.deepEqual(opened.map(({ service }) => service), [""]);
});

Deno.test("Watches opens no stream for a service whose Check fails", () => {
  const { watches, opened } = new Lab();
  for (let index = 0; index < 60; index++) watches.checked(`made.up.N${index}`, undefined);
  assert.equal(opened.length, 0);
  watches.checked("", "SERVING");
  assert.equal(opened.length, 1, "They take no place either");
});

Deno.test("Watches keeps services apart", () => {
  const lab = new Lab();
  lab.watch("one");
  lab.watch("two");
  lab.last.tell("NOT_SERVING");
  assert.equal(lab.watches.recall("one"), "SERVING");
  assert.equal(lab.watches.recall("two"), "NOT_SERVING");
  lab.watches.checked("two", undefined);
  assert.equal(lab.watches.recall("one"), "SERVING");
  assert.equal(lab.watches.recall("two"), undefined);
});

Deno.test("Watches forgets at once what a broken stream has told", () => {
  const lab = new Lab();
  lab.watch("");
  assert.equal(lab.watches.recall(""), "SERVING");
  lab.last.break();
  assert.equal(lab.watches.recall(""), undefined);
  assert.equal(lab.watches.streaming, false);
});

Deno.test("Watches opens a stream anew after one that broke, at most once a second", () => {
  const lab = new Lab();
  lab.watch("");
  lab.last.break();
  lab.now += 999;
  lab.watches.checked("", "SERVING");
  assert.equal(lab.opened.length, 1);
  lab.now += 1;
  lab.watches.checked("", undefined);
  assert.equal(lab.opened.length, 1);
  lab.watches.checked("", "SERVING");
  assert.equal(lab.opened.length, 2);
  assert.equal(lab.watches.recall(""), undefined, "What the first one told");
});

Deno.test("Watches tries again half a minute after a stream that ended without a word", () => {
  const lab = new Lab();
  lab.watches.checked("", "SERVING");
  lab.last.break();
  lab.now += 29_999;
  lab.watches.checked("", "SERVING");
  assert.equal(lab.opened.length, 1);
  lab.now += 1;
  lab.watches.checked("", "SERVING");
  assert.equal(lab.opened.length, 2);
});

Deno.test("Watches that give way end all streams and open none for half a minute", () => {
  const lab = new Lab();
  lab.watch("one");
  lab.watch("two");
  lab.watches.giveWay();
  assert.deepEqual(lab.streaming, []);
  assert.equal(lab.watches.streaming, false);
  lab.now += 29_999;
  for (const service of ["one", "two"]) {
    lab.watches.checked(service, "SERVING");
    assert.equal(lab.watches.recall(service), undefined);
  }
  assert.deepEqual(lab.streaming, []);
  lab.now += 1;
  lab.watches.checked("one", "SERVING");
  assert.deepEqual(lab.streaming, ["one"]);
});

Deno.test("Watches ends a stream that tells a hundred statuses between two questions", () => {
  const lab = new Lab();
  lab.watch("");
  for (let question = 0; question < 5; question++) {
    for (let status = 0; status < 99; status++) lab.last.tell("SERVING");
    assert.equal(lab.watches.recall(""), "SERVING");
  }
  for (let status = 0; status < 101; status++) lab.last.tell("SERVING");
  assert.deepEqual(lab.streaming, []);
  assert.equal(lab.watches.recall(""), undefined);
  lab.now += 29_999;
  lab.watches.checked("", "SERVING");
  assert.deepEqual(lab.streaming, []);
});

Deno.test("Watches ends the stream of a service that nobody asks about any more", () => {
  const lab = new Lab();
  lab.watch("kept");
  lab.watch("left");
  for (let second = 1; second < 60; second++) {
    lab.now += 1000;
    lab.watches.recall("kept");
  }
  lab.watches.checked("kept", "SERVING");
  assert.deepEqual(lab.streaming, ["kept", "left"]);
  lab.now += 1000;
  lab.watches.checked("kept", "SERVING");
  assert.deepEqual(lab.streaming, ["kept"]);
});

Deno.test("Watches opens at most 50 streams on a connection, and others when those are idle", () => {
  const lab = new Lab();
  for (let index = 0; index < 60; index++) lab.watches.checked(`service.N${index}`, "SERVING");
  assert.equal(lab.streaming.length, 50);
  assert.equal(lab.watches.recall("service.N55"), undefined);
  lab.now += 60_000;
  lab.watches.checked("service.N55", "SERVING");
  assert.deepEqual(lab.streaming, ["service.N55"]);
});
