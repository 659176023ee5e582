import assert from "node:assert/strict";
import { ClientRules } from "../../../src/access/rules.ts";
import { setUpLogging } from "../../../src/log/log.ts";
import { Server } from "../../../src/server/server.ts";
import { LineClient } from "../../lab/clients/line_client.ts";
import { eventually } from "../../lab/testing/eventually.ts";

const CLIENTS = 300;
const LINES_AT_ONCE = 60;

/** Clients that ask again as soon as they have all their answers. Arguments: the port, how many, and lines at once. */
const BUSY_CLIENTS = `
const [port, count, lines] = Deno.args.map(Number);
const text = new TextEncoder().encode("x\\n".repeat(lines));
for (let nth = 0; nth < count; nth++) void ask(await Deno.connect({ hostname: "127.0.0.1", port }));
async function ask(connection) {
  const buffer = new Uint8Array(1024);
  while (true) {
    await connection.write(text);
    for (let left = text.length / 2 * "up\\n".length; left > 0;) {
      const count = await connection.read(buffer);
      if (count === null) return;
      left -= count;
    }
  }
}
`;

Deno.test("A new client waits for one line or two of each other, however many lines they send at once", async () => {
  let answered = 0;
  const answer = () => {
    answered++;
    const begun = performance.now();
    while (performance.now() - begun < 0.03); // what a check costs
    return { reply: "up\n", delivered: () => {}, abandon: () => {} };
  };
  const limits = { maxLineBytes: 1024, requestTimeoutMs: 10_000, idleTimeoutMs: 10_000 };
  const admission = { clientRules: new ClientRules([]), maxConnections: 10_000, limits };
  let connected = 0;
  const observer = {
    clientConnected: () => void connected++,
    clientDisconnected: () => {},
    countRejection: () => {},
  };
  const logs = setUpLogging({
    level: "error",
    levels: new Map(),
    format: "json",
    colour: false,
    write: () => {},
  });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 4096 });
  const { port } = listener.addr;
  const server = new Server([listener], () => admission, answer, observer, logs.server);
  const running = server.run();
  const script = await Deno.makeTempFile({ suffix: ".mjs" });
  await Deno.writeTextFile(script, BUSY_CLIENTS);
  const clients = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-net", script, `${port}`, `${CLIENTS}`, `${LINES_AT_ONCE}`],
  }).spawn();
  try {
    await eventually("the clients to be accepted", () => connected >= CLIENTS, {
      timeoutMs: 30_000,
    });
    let most = 0;
    for (let nth = 0; nth < 20; nth++) {
      const before = answered;
      using client = await LineClient.open(port);
      assert.equal(await client.ask("x\n"), "up\n");
      most = Math.max(most, answered - before);
    }
    assert.ok(answered > 10 * CLIENTS, "They ask without a pause");
    assert.ok(most < 4 * CLIENTS, `${most} answers to others before its own`);
  } finally {
    clients.kill("SIGKILL");
    await clients.status;
    await server.stop();
    await running;
    await Deno.remove(script);
  }
});
