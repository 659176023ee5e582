import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { guardReads } from "../../src/check/guard_reads.ts";

/** Sends bytes to a guarded socket that is closed by the other side then. @returns what its reader had */
async function readGuarded(bytes: Uint8Array, admit: (count: number) => boolean) {
  const server = createServer((socket) => socket.end(bytes));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const parts: Uint8Array[] = [];
  const socket: Socket = connect(port, "127.0.0.1");
  guardReads(socket, admit);
  socket.on("data", (part: Uint8Array) => parts.push(part));
  await new Promise((resolve) => socket.on("close", resolve));
  await new Promise((resolve) => server.close(resolve));
  return parts;
}

const BYTES = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251);

Deno.test("guardReads() lets everything pass that is admitted, in small slices", async () => {
  const counts: number[] = [];
  const parts = await readGuarded(BYTES, (count) => counts.push(count) > 0);
  assert.deepEqual(counts, parts.map(({ length }) => length));
  assert.ok(Math.max(...counts) <= 4096);
  assert.deepEqual(new Uint8Array(parts.flatMap((part) => [...part])), BYTES);
});

Deno.test("guardReads() lets nothing pass from the first slice on that is refused", async () => {
  let left = 10_000;
  const parts = await readGuarded(BYTES, (count) => (left -= count) >= 0);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  assert.ok(length > 5000 && length <= 10_000, `${length} bytes`);
});
