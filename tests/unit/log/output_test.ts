import assert from "node:assert/strict";
import { LineWriter, LogFallback, LogOutput } from "../../../src/log/output.ts";

Deno.test("LogOutput writes the lines of one turn at once, in order, also when written in pieces", async () => {
  const written: string[] = [];
  const destination = new LineWriter((bytes) => {
    const part = bytes.subarray(0, 5);
    written.push(new TextDecoder().decode(part));
    return Promise.resolve(part.length);
  });
  const output = new LogOutput(destination);
  output.add("one\n");
  output.add("two\n");
  await output.drain(1000);
  assert.deepEqual(written, ["one\nt", "wo\n"]);
  assert.equal(output.dropped, 0);
});

Deno.test("LogOutput drops and counts lines when its reader has stopped, and goes on later", async () => {
  let release = () => {};
  let written = 0;
  const destination = new LineWriter((bytes) => {
    written += bytes.length;
    return new Promise((resolve) => release = () => resolve(bytes.length));
  });
  const output = new LogOutput(destination);
  const line = `${"x".repeat(1023)}\n`;
  for (let i = 0; i < 2000; i++) output.add(line);
  await output.drain(1);
  assert.equal(output.dropped, 2000 - 1024);
  release();
  await output.drain(1000);
  output.add(line);
  await output.drain(1);
  assert.equal(output.dropped, 2000 - 1024);
  assert.equal(written, 1025 * 1024);
});

Deno.test("LogOutput survives a destination that fails", async () => {
  const output = new LogOutput(new LineWriter(() => Promise.reject(new Error("disk full"))));
  output.add("a\n");
  await output.drain(1000);
  output.add("b\n");
  await output.drain(1000);
  assert.equal(output.dropped, 2);
});

/** Something that takes `room` bytes and then no more. */
class Disk {
  text = "";
  room = Infinity;
  attempts = 0;

  write = (bytes: Uint8Array): Promise<number> => {
    this.attempts++;
    if (this.room === 0) return Promise.reject(new Error("No space left"));
    const taken = bytes.subarray(0, this.room);
    this.room -= taken.length;
    this.text += new TextDecoder().decode(taken);
    return Promise.resolve(taken.length);
  };
}

function setUp() {
  const disk = new Disk();
  const stderr = new Disk();
  const clock = { now: 0 };
  const told: string[] = [];
  const observer = {
    onFailed: (error: unknown) => told.push(`failed: ${(error as Error).message}`),
    onRecovered: () => told.push("recovered"),
  };
  const fallback = new LogFallback(
    new LineWriter(disk.write),
    new LineWriter(stderr.write),
    observer,
    () => clock.now,
  );
  const write = (text: string) => fallback.write(new TextEncoder().encode(text));
  return { disk, stderr, clock, told, fallback, write };
}

Deno.test("A log file that fails is reported once, and its lines go to stderr until it works again", async () => {
  const { disk, stderr, clock, told, write } = setUp();
  await write("1\n");
  disk.room = 0;
  await write("2\n");
  await write("3\n");
  clock.now = 999;
  await write("4\n");
  assert.equal(disk.attempts, 2, "A disk that has failed is left alone for a second");
  clock.now = 1000;
  await write("5\n");
  assert.equal(disk.attempts, 3);
  disk.room = Infinity;
  clock.now = 2000;
  await write("6\n");
  await write("7\n");
  assert.deepEqual(told, ["failed: No space left", "recovered"]);
  assert.equal(disk.text, "1\n6\n7\n");
  assert.equal(stderr.text, "2\n3\n4\n5\n");
});

Deno.test("Where the disk gets full in the middle of a line, that line goes to stderr as a whole and spoils no other", async () => {
  const { disk, stderr, clock, write } = setUp();
  disk.room = 8;
  assert.deepEqual(await write("first\nsecond\nthird\n"), { ok: true });
  assert.equal(disk.text, "first\nse");
  assert.equal(stderr.text, "second\nthird\n");
  disk.room = Infinity;
  clock.now = 1000;
  await write("fourth\n");
  assert.equal(disk.text, "first\nse\nfourth\n");
});

Deno.test("Lines that neither the file nor stderr takes are counted, and the loss is told afterwards", async () => {
  const { disk, stderr, clock, fallback } = setUp();
  const told: number[] = [];
  const output = new LogOutput(fallback, (dropped) => told.push(dropped));
  disk.room = 3;
  stderr.room = 6;
  for (const line of ["1\n", "22\n", "333\n", "444\n", "555\n"]) output.add(line);
  await output.drain(1000);
  assert.equal(disk.text, "1\n2");
  assert.equal(stderr.text, "22\n333"); // of "333\n" the newline is missing
  assert.equal(output.dropped, 3);
  assert.deepEqual(told, []);
  clock.now = 1000;
  disk.room = Infinity;
  output.add("6\n");
  await output.drain(1000);
  output.add("7\n");
  await output.drain(1000);
  assert.equal(disk.text, "1\n2\n6\n7\n");
  assert.deepEqual(told, [3]);
  assert.equal(output.dropped, 3);
});

Deno.test("A pipe without room that does not block is waited for", async () => {
  let refusals = 2;
  const disk = new Disk();
  const writer = new LineWriter((bytes) =>
    refusals-- > 0 ? Promise.reject(new Deno.errors.WouldBlock("full")) : disk.write(bytes)
  );
  assert.deepEqual(await writer.write(new TextEncoder().encode("a\n")), { ok: true });
  assert.equal(disk.text, "a\n");
});
