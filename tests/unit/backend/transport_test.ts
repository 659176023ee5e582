import assert from "node:assert/strict";
import { Socket } from "node:net";
import { TcpTransport, TlsTransport, type Transport } from "../../../src/backend/transport.ts";
import { PeerServer, send } from "../../lab/backends/peers/peer_server.ts";

/** Reads all of a stream. @returns the bytes, and whether it was closed properly */
function readAll(transport: Transport): Promise<{ bytes: number[]; proper: boolean }> {
  const bytes: number[] = [];
  return new Promise((resolve) =>
    transport.read(
      (part) => bytes.push(...part),
      (error) => resolve({ bytes, proper: error === undefined }),
    )
  );
}

Deno.test("TlsTransport never tells the end within the call that begins to read", async () => {
  const socket = new Socket();
  socket.destroy();
  let within = true;
  await new Promise<void>((resolve) => {
    new TlsTransport(socket).read(() => {}, () => {
      assert.equal(within, false);
      resolve();
    });
    within = false;
  });
});

Deno.test("TcpTransport reads all that comes, however much, and its proper end", async () => {
  const sent = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251);
  await using peer = new PeerServer(async (connection) => {
    await send(connection, sent);
    connection.close();
  });
  const transport = new TcpTransport(
    await Deno.connect({ hostname: "127.0.0.1", port: peer.port }),
  );
  assert.deepEqual(await readAll(transport), { bytes: [...sent], proper: true });
  transport.close();
});

Deno.test("TcpTransport lets the rest of the agent have its turn under a flood", async () => {
  const sent = new Uint8Array(10_000_000);
  await using peer = new PeerServer(async (connection) => {
    await send(connection, sent);
    connection.close();
  });
  const transport = new TcpTransport(
    await Deno.connect({ hostname: "127.0.0.1", port: peer.port }),
  );
  let turns = 0;
  const turn = setInterval(() => turns++);
  await new Promise<void>((resolve) => transport.read(() => {}, () => resolve()));
  clearInterval(turn);
  transport.close();
  assert.ok(turns > 20, `There were ${turns} turns`);
});

Deno.test("TcpTransport ends a read and a write under way when it is closed, twice too", async () => {
  await using peer = new PeerServer(() => {});
  const transport = new TcpTransport(
    await Deno.connect({ hostname: "127.0.0.1", port: peer.port }),
  );
  const read = readAll(transport);
  const write = transport.write(new Uint8Array(50_000_000)).then(() => false, () => true);
  transport.close();
  transport.close();
  assert.deepEqual((await read).bytes, []);
  assert.ok(await write, "the write was not all");
});
