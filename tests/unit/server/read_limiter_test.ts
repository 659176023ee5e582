import assert from "node:assert/strict";
import { ReadLimiter } from "../../../src/server/read_limiter.ts";

Deno.test("ReadLimiter lets some read at once", () => {
  const reads = new ReadLimiter();
  for (let nth = 0; nth < 16; nth++) assert.equal(reads.takeRead(), undefined);
});

Deno.test("ReadLimiter lets a hundred read in their order, some in each turn", async () => {
  const reads = new ReadLimiter();
  const read: number[] = [];
  const waiting = Array.from({ length: 100 }, (_, reader) => {
    const turn = reads.takeRead();
    return turn && turn.then(() => read.push(reader));
  }).filter((turn) => turn !== undefined);
  assert.ok(waiting.length > 50, `${waiting.length} had to wait`);
  await waiting[0];
  await Promise.resolve();
  assert.ok(read.length < waiting.length, "All of them read in one turn");
  await Promise.all(waiting);
  assert.deepEqual(read, read.toSorted((one, other) => one - other));
});

Deno.test("ReadLimiter lets an accept wait for the next turn only, whoever waits to read", async () => {
  const reads = new ReadLimiter();
  let read = 0;
  const waiting = Array.from({ length: 1000 }, () => reads.takeRead()?.then(() => read++));
  await reads.takeAccept();
  assert.ok(read < 100, `${read} reads first`);
  await Promise.all(waiting);
});

/** Clients that ask again as soon as they have their answer. Arguments: the port, and how many. */
const BUSY_CLIENTS = `
const [port, count] = Deno.args.map(Number);
const byte = new Uint8Array(1);
for (let nth = 0; nth < count; nth++) void ask(await Deno.connect({ hostname: "127.0.0.1", port }));
async function ask(connection) {
  connection.setNoDelay();
  while (true) {
    await connection.write(byte);
    if (await connection.read(new Uint8Array(1)) === null) return;
  }
}
`;

Deno.test("A thousand clients that ask without a pause keep no other socket from being read", async () => {
  const reads = new ReadLimiter();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 4096 });
  const { port } = listener.addr;
  using quiet = await Deno.connect({ hostname: "127.0.0.1", port });
  using quietEnd = await listener.accept();
  const connections: Deno.TcpConn[] = [];
  let answered = 0;
  const serving: Promise<void>[] = [];
  const serve = async (connection: Deno.TcpConn) => {
    try {
      while (true) {
        await reads.takeRead();
        if (await connection.read(new Uint8Array(1)) === null) return;
        const begun = performance.now();
        while (performance.now() - begun < 0.03); // what a check costs
        await connection.write(new Uint8Array(1));
        answered++;
      }
    } catch {
      // The clients have been ended.
    }
  };
  const script = await Deno.makeTempFile({ suffix: ".mjs" });
  await Deno.writeTextFile(script, BUSY_CLIENTS);
  const clients = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-net", script, `${port}`, "1000"],
  }).spawn();
  try {
    while (connections.length < 1000) {
      const connection = await listener.accept();
      connections.push(connection);
      serving.push(serve(connection));
    }
    let most = 0;
    for (let nth = 0; nth < 60; nth++) {
      const before = answered;
      await quiet.write(new Uint8Array(1));
      await quietEnd.read(new Uint8Array(1));
      most = Math.max(most, answered - before);
    }
    assert.ok(answered > 1000, "They ask without a pause");
    // Without the limit it is tens of thousands.
    assert.ok(most < 3000, `${most} answers to others before it was read`);
  } finally {
    clients.kill("SIGKILL");
    await clients.status;
    await Promise.all(serving);
    for (const connection of connections) connection.close();
    await Deno.remove(script);
  }
});
