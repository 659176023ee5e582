import assert from "node:assert/strict";
import { type Connecting, connectPersistently } from "../../../src/backend/connect_persistently.ts";
import { DialLimits } from "../../../src/backend/dial_limits.ts";
import { Deadlines } from "../../../src/deadline.ts";
import { blackHole, silent } from "../../lab/backends/peers/tcp_peers.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { nextTurn } from "../../lab/unit/next_turn.ts";

/** A connection of which the test says how its attempts end. */
class Attempts implements Connecting<number>, Disposable {
  readonly address = "127.0.0.1";
  readonly deadlines = new Deadlines(nextTurn);
  readonly limits: DialLimits = new DialLimits(this.deadlines);
  readonly begun: (PromiseWithResolvers<number> & { readonly signal: AbortSignal })[] = [];
  readonly closed: number[] = [];
  readonly #dial = new AbortController();

  start(): Promise<number> {
    return connectPersistently(this, this.limits, this.deadlines, this.#dial.signal);
  }

  connect(signal: AbortSignal): Promise<number> {
    const attempt = { ...Promise.withResolvers<number>(), signal };
    signal.addEventListener("abort", () => attempt.reject(new Error("aborted")));
    this.begun.push(attempt);
    return attempt.promise;
  }

  close(socket: number): void {
    this.closed.push(socket);
  }

  abort(): void {
    this.#dial.abort();
  }

  get aborted(): boolean[] {
    return this.begun.map(({ signal }) => signal.aborted);
  }

  async reached(count: number): Promise<void> {
    await eventually(`attempt ${count}`, () => this.begun.length >= count);
  }

  [Symbol.dispose](): void {
    this.abort();
    this.deadlines.close();
  }
}

const errno = (code: string) => Object.assign(new Error(code), { code });

Deno.test("connectPersistently() makes a connection whose first SYN is lost, without the kernel's second", async () => {
  await using hole = await blackHole();
  using attempts = new Attempts();
  const port = hole.port;
  let begun = 0;
  const connect = (signal: AbortSignal) => {
    begun++;
    return Deno.connect({ port, signal });
  };
  const { address, limits, deadlines } = attempts;
  const connecting = { address, connect, close: (socket: Deno.TcpConn) => socket.close() };
  const made = connectPersistently(connecting, limits, deadlines, new AbortController().signal);
  await using server = silent();
  await hole.open(server);
  using _ = await made;
  assert.ok(begun > 1);
});

Deno.test("connectPersistently() makes one attempt where that has an answer", async () => {
  using attempts = new Attempts();
  const made = attempts.start();
  attempts.begun[0]?.resolve(1);
  assert.equal(await made, 1);
  assert.deepEqual(attempts.aborted, [false]);
});

Deno.test("connectPersistently() takes what is made first, and ends the others", async () => {
  using attempts = new Attempts();
  const made = attempts.start();
  await attempts.reached(3);
  attempts.begun[1]?.resolve(2);
  attempts.begun[0]?.resolve(1); // too late
  assert.equal(await made, 2);
  assert.deepEqual(attempts.aborted, [true, false, true]);
  assert.deepEqual(attempts.closed, [1]);
  attempts.abort();
  assert.deepEqual(attempts.aborted, [true, true, true], "The dial has ended, and its socket too");
  await eventually("the ends", () => attempts.limits.repeats === 0);
});

Deno.test("connectPersistently() fails as an attempt does, but for what a later one lacks", async () => {
  using attempts = new Attempts();
  const made = assert.rejects(attempts.start(), /ECONNREFUSED/);
  await attempts.reached(2);
  attempts.begun[1]?.reject(errno("EMFILE"));
  await attempts.reached(3);
  attempts.begun[2]?.reject(errno("ECONNREFUSED"));
  await made;
  assert.deepEqual(attempts.aborted, [true, true, true]);

  using first = new Attempts();
  const refused = assert.rejects(first.start(), /EMFILE/);
  first.begun[0]?.reject(errno("EMFILE"));
  await refused;
});

Deno.test("connectPersistently() ends all attempts with the dial", async () => {
  using attempts = new Attempts();
  const made = assert.rejects(attempts.start(), /aborted/);
  await attempts.reached(2);
  attempts.abort();
  await made;
  assert.deepEqual(attempts.aborted, [true, true]);
});

Deno.test("connectPersistently() makes no further attempts where many are under way", async () => {
  using attempts = new Attempts();
  const { limits } = attempts;
  limits.repeats = 64;
  const made = attempts.start();
  using other = new Attempts();
  const otherMade = other.start();
  await other.reached(2);
  assert.equal(attempts.begun.length, 1);
  limits.repeats = 0;
  await attempts.reached(2);
  for (const { begun } of [attempts, other]) begun[1]?.resolve(1);
  await Promise.all([made, otherMade]);
});
