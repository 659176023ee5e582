import assert from "node:assert/strict";
import { ReadMarker } from "../../src/backend/read_marker.ts";
import { Deadlines } from "../../src/deadline.ts";
import { FakeTime } from "../lab/unit/fake_time.ts";
import { nextTurn } from "../lab/unit/next_turn.ts";

/** Keeps the event loop from turning, as much work or a stopped process would. */
function standStill(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Deadlines that are taken back at the end of a test. */
class Lab extends Deadlines implements Disposable {
  constructor(caughtUp: (sockets: number) => Promise<void> = nextTurn) {
    super(caughtUp);
  }

  /** Sets a deadline of the other side. @returns whether it was held up, once it has passed */
  passed(timeoutMs: number, putOffMs?: number): Promise<boolean> {
    const now = performance.now();
    return new Promise((resolve) => this.setForOtherSide(resolve, timeoutMs, now, putOffMs));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

for (const ms of [-5, 0, 0.4, 1, 5, 20]) {
  Deno.test(`A deadline of ${ms} ms passes no sooner, and in time`, async () => {
    using deadlines = new Lab();
    const start = performance.now();
    assert.equal(await deadlines.passed(ms), false);
    assert.ok(performance.now() - start >= ms);
  });
}

Deno.test("A deadline never passes within the call that sets it", () => {
  using deadlines = new Lab();
  deadlines.set(() => assert.fail("It has passed"), -1);
});

Deno.test("Deadlines pass in the order of their moments, however they were set", async () => {
  using time = new FakeTime();
  using deadlines = new Lab();
  const order: number[] = [];
  const all = [20, 6, 17, 5, 9, 7, 14].map((ms) =>
    new Promise<void>((resolve) =>
      deadlines.set(() => {
        order.push(ms);
        resolve();
      }, ms)
    )
  );
  time.passes(24);
  await Promise.all(all);
  assert.deepEqual(order, [5, 6, 7, 9, 14, 17, 20]);
});

Deno.test("A deadline that comes before all others has the timer set anew", async () => {
  using deadlines = new Lab();
  deadlines.set(() => assert.fail("It has passed"), 60_000);
  assert.equal(await deadlines.passed(5), false);
});

const DELAYS: readonly [string, number, boolean][] = [
  ["a little late is in time", 10, false],
  ["late on a busy machine is in time", 100, false],
  ["that stood still with its process says so", 600, true],
];

for (const [what, ms, heldUp] of DELAYS) {
  Deno.test(`A deadline ${what}, after what has come meanwhile was read`, async () => {
    const marker = new ReadMarker();
    await marker.opened;
    using deadlines = new Lab((sockets) => marker.caughtUp(sockets));
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    const server = await listener.accept();
    const events: string[] = [];
    const passed = deadlines.passed(5).then((heldUp) => {
      events.push("passed");
      return heldUp;
    });
    const read = client.read(new Uint8Array(1)).then(() => events.push("read"));
    await server.write(new Uint8Array(1));
    standStill(5 + ms);
    assert.equal(await passed, heldUp);
    await read;
    assert.deepEqual(events, ["read", "passed"]);
    for (const socket of [client, server, listener]) socket.close();
    await marker.close();
  });
}

/** A server in a thread of its own: it writes a byte to each client once it is told to. */
const WRITER = `
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const sockets = [];
  self.onmessage = () => sockets.map((socket) => socket.write(new Uint8Array(1)));
  self.postMessage(listener.addr.port);
  for await (const socket of listener) sockets.push(socket);
`;

Deno.test("A deadline passes after what has come from a thousand others was read", async () => {
  const marker = new ReadMarker();
  await marker.opened;
  using deadlines = new Lab((sockets) => marker.caughtUp(sockets));
  const writer = new Worker(`data:text/javascript,${encodeURIComponent(WRITER)}`, {
    type: "module",
  });
  const port = await new Promise<number>((resolve) =>
    writer.onmessage = ({ data }) => resolve(data)
  );
  const clients: Deno.TcpConn[] = [];
  for (let nth = 0; nth < 1000; nth++) clients.push(await Deno.connect({ port }));
  let read = 0;
  const reads = clients.map((client) => {
    deadlines.setForOtherSide(() => assert.fail("It has passed"), 60_000);
    deadlines.setForOtherSide(() => assert.fail("It has passed"), 60_000);
    return client.read(new Uint8Array(1)).then(() => {
      standStill(0.03); // to read an answer takes some time
      read++;
    });
  });
  await new Promise((resolve) => setTimeout(resolve, 50)); // the last connections are accepted
  writer.postMessage("write");
  standStill(300);
  assert.equal(await deadlines.passed(0), false);
  assert.equal(read, clients.length);
  await Promise.all(reads);
  for (const client of clients) client.close();
  writer.terminate();
  await marker.close();
});

Deno.test("A process that stood still holds up all deadlines that have little time left after it", async () => {
  using time = new FakeTime();
  using deadlines = new Lab();
  const isHeldUp = [4, 250, 700, 800, 1200, 1400].map((ms) => deadlines.passed(ms));
  time.passes(804);
  assert.deepEqual(await Promise.all(isHeldUp.slice(0, 4)), [true, true, true, true]);
  time.passes(100);
  await nextTurn();
  time.passes(100);
  const fresh = deadlines.passed(4);
  time.passes(200);
  assert.equal(await fresh, false);
  assert.equal(await isHeldUp[4], true);
  time.passes(200);
  assert.equal(await isHeldUp[5], false);
});

Deno.test("A process that stood still holds up what was there before, and not what is set by reads after it", async () => {
  using time = new FakeTime();
  using deadlines = new Lab();
  const short = deadlines.set(() => assert.fail("It has passed"), 4);
  const before = deadlines.passed(700);
  time.passes(804);
  short.cancel();
  const after = deadlines.passed(0);
  time.passes(4);
  assert.deepEqual(await Promise.all([before, after]), [true, false]);
});

Deno.test("A process that stands still while its next deadline is far off is noticed", async () => {
  using deadlines = new Lab();
  const passed = deadlines.passed(1000);
  await new Promise((resolve) => setTimeout(resolve, 20));
  standStill(1100);
  assert.equal(await passed, true);
});

Deno.test("A late deadline can be cancelled by what was read meanwhile", async () => {
  using time = new FakeTime();
  const caughtUp = Promise.withResolvers<void>();
  using deadlines = new Lab(() => caughtUp.promise);
  const deadline = deadlines.setForOtherSide(() => assert.fail("It has passed"), 5);
  const fired = new Promise<void>((resolve) => deadlines.set(resolve, 95));
  time.passes(100);
  await fired;
  deadline.cancel(); // it waits for reads now
  const other = deadlines.passed(0);
  time.passes(4);
  caughtUp.resolve();
  assert.equal(await other, false);
});

Deno.test("A deadline is put off for reads no longer than it allows", async () => {
  using time = new FakeTime();
  using deadlines = new Lab(() => new Promise(() => {}));
  const passed = [deadlines.passed(5, 100), deadlines.passed(5, 2000)].map((passed) =>
    Promise.race([passed, new Promise((resolve) => setTimeout(resolve, 300, "waits"))])
  );
  const fired = new Promise<void>((resolve) => deadlines.set(resolve, 5));
  time.passes(8);
  await fired;
  time.passes(104);
  assert.deepEqual(await Promise.all(passed), [false, "waits"]);
});

Deno.test("A deadline that is cancelled twice, or after it has passed, disturbs no other", async () => {
  using deadlines = new Lab();
  const taken = deadlines.set(() => assert.fail("It has passed"), 5);
  taken.cancel();
  taken.cancel();
  const { promise, resolve } = Promise.withResolvers<void>();
  const passed = deadlines.set(resolve, 5);
  await promise;
  passed.cancel();
  assert.equal(await deadlines.passed(5), false);
});

Deno.test("A deadline can be cancelled by one that passes in the same moment", async () => {
  using deadlines = new Lab();
  const passed = new Promise<void>((resolve) => {
    deadlines.set(() => {
      second.cancel();
      resolve();
    }, 5);
  });
  const second = deadlines.set(() => assert.fail("It has passed"), 5);
  await passed;
  await deadlines.passed(10);
});

Deno.test("A late deadline can be cancelled by another late one", async () => {
  using deadlines = new Lab();
  const passed = new Promise<void>((resolve) => {
    deadlines.set(() => {
      second.cancel();
      resolve();
    }, 5);
  });
  const second = deadlines.set(() => assert.fail("It has passed"), 6);
  standStill(100);
  await passed;
  await deadlines.passed(10);
});

Deno.test("A deadline can be set by one that passes", async () => {
  using deadlines = new Lab();
  let turns = 0;
  await new Promise<void>((resolve) => {
    const next = () => {
      if (++turns === 50) resolve();
      else deadlines.set(next, 0);
    };
    deadlines.set(next, 0);
  });
  assert.equal(turns, 50);
});

Deno.test("Of fifty thousand deadlines, half of them cancelled, the others pass once each", async () => {
  using deadlines = new Lab();
  const passes = new Map<number, number>();
  let setting = 0;
  const begun = performance.now();
  const set = Array.from({ length: 50_000 }, (_, index) => {
    setting = performance.now();
    return deadlines.set(() => passes.set(index, (passes.get(index) ?? 0) + 1), index % 200);
  });
  for (let index = 0; index < set.length; index += 2) set[index]?.cancel();
  await deadlines.passed(setting - begun + 400);
  assert.equal(passes.size, 25_000);
  for (const [index, times] of passes) {
    assert.equal(times, 1);
    assert.equal(index % 2, 1);
  }
});

Deno.test("A deadline that throws keeps no other from passing", async () => {
  using deadlines = new Lab();
  const reported: unknown[] = [];
  const report = (event: ErrorEvent) => {
    event.preventDefault();
    reported.push(event.error);
  };
  globalThis.addEventListener("error", report);
  const bug = new Error("a bug");
  deadlines.set(() => {
    throw bug;
  }, 5);
  const others = await Promise.all([
    deadlines.passed(5),
    deadlines.passed(6),
    deadlines.passed(30),
  ]);
  globalThis.removeEventListener("error", report);
  assert.deepEqual(others, [false, false, false]);
  assert.deepEqual(reported, [bug]);
});

Deno.test("Deadlines do not pass after close(), even those that wait for reads", async () => {
  using time = new FakeTime();
  const caughtUp = Promise.withResolvers<void>();
  const deadlines = new Lab(() => caughtUp.promise);
  deadlines.setForOtherSide(() => assert.fail("It has passed"), 5);
  deadlines.set(() => assert.fail("It has passed"), 110);
  const fired = new Promise<void>((resolve) => deadlines.set(resolve, 95));
  time.passes(100);
  await fired;
  deadlines.close();
  caughtUp.resolve();
  time.passes(2000);
  await new Promise((resolve) => setTimeout(resolve, 60)); // there is no event for what does not come
});
