/**
 * The floor: the least that a program on Deno does to answer `up` to every line. What the agent costs
 * beyond it is the agent's own.
 */

const NEWLINE = 0x0a;
const UP = new TextEncoder().encode("up\n");

// So many that the row with the most clients loses no connection.
const options = { hostname: "127.0.0.1", port: Number(Deno.args[0]), tcpBacklog: 4096 };
for await (const connection of Deno.listen(options)) void answer(connection);

async function answer(connection: Deno.TcpConn): Promise<void> {
  using _ = connection;
  const buffer = new Uint8Array(512);
  try {
    while (true) {
      const length = await connection.read(buffer);
      if (length === null) return;
      if (buffer[length - 1] === NEWLINE) await connection.write(UP);
    }
  } catch {
    // The client has gone.
  }
}
