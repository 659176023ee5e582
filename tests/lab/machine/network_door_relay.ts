// Leads from Unix sockets, which are the same in every network, to the loopback ports of this process' network;
// each socket's file has the number of its port for a name.

for (const path of Deno.args) {
  const port = Number(path.slice(path.lastIndexOf("/") + 1));
  accept(Deno.listen({ transport: "unix", path }), port);
}
console.log("listening");

async function accept(listener: Deno.UnixListener, port: number): Promise<void> {
  for await (const connection of listener) void relay(connection, port);
}

async function relay(connection: Deno.Conn, port: number): Promise<void> {
  const onward = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
  if (onward === undefined) return connection.close(); // nobody listens there
  onward.setNoDelay();
  await Promise.race([pass(connection, onward), pass(onward, connection)]).catch(() => {});
  connection.close();
  onward.close();
}

async function pass(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(16_384);
  for (let count; (count = await from.read(buffer)) !== null;) {
    for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
  }
}
