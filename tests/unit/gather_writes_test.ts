import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { gatherWrites } from "../../src/check/gather_writes.ts";

/** A stream that keeps what it would hand to the kernel, one element a system call. */
function keepingStream() {
  const calls: string[] = [];
  const stream = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      calls.push(String(chunk));
      done();
    },
    writev(pieces, done) {
      calls.push(pieces.map(({ chunk }) => String(chunk)).join(""));
      done();
    },
  });
  gatherWrites(stream as Socket);
  return { stream, calls };
}

Deno.test("gatherWrites() has the writes of one tick leave together, in their order", async () => {
  const { stream, calls } = keepingStream();
  for (const piece of ["HEADERS ", "DATA ", "HEADERS ", "DATA"]) stream.write(piece);
  assert.deepEqual(calls, []);
  await new Promise(process.nextTick);
  assert.deepEqual(calls, ["HEADERS DATA HEADERS DATA"]);
  stream.write("PING");
  await new Promise(process.nextTick);
  assert.deepEqual(calls, ["HEADERS DATA HEADERS DATA", "PING"]);
});

Deno.test("gatherWrites() loses nothing where the stream ends in the same tick", async () => {
  const { stream, calls } = keepingStream();
  stream.write("RST_STREAM ");
  stream.write("GOAWAY");
  await new Promise<void>((resolve) => stream.end(resolve));
  assert.deepEqual(calls, ["RST_STREAM GOAWAY"]);
});
