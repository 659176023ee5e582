/**
 * Asks an agent, in a process of its own so that its processor time is not the agent's: some
 * connections, each with one check under way at a time. Prints one JSON line.
 */

import { isAnswerUp, type LoadOrder, type LoadReport } from "./load.ts";

const order: LoadOrder = JSON.parse(Deno.args[0] ?? "");
const line = new TextEncoder().encode(order.line);
const durations: number[] = [];
let failures = 0;

const end = performance.now() + order.seconds * 1000;
const ask = order.connections === "kept" ? askOverOne : askOverFresh;
const began = performance.now();
await Promise.all(Array.from({ length: order.atOnce }, ask));
const report: LoadReport = { durations, failures, seconds: (performance.now() - began) / 1000 };
console.log(JSON.stringify(report));

/** As HAProxy: a connection for each check. */
async function askOverFresh(): Promise<void> {
  const reply = new Uint8Array(64);
  while (performance.now() < end) {
    const began = performance.now();
    using connection = await connect();
    await askOnce(connection, reply, began);
  }
}

async function askOverOne(): Promise<void> {
  const reply = new Uint8Array(64);
  using connection = await connect();
  while (performance.now() < end) await askOnce(connection, reply, performance.now());
}

async function connect(): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: order.port });
  connection.setNoDelay();
  return connection;
}

async function askOnce(connection: Deno.TcpConn, reply: Uint8Array, began: number): Promise<void> {
  await connection.write(line);
  const length = await connection.read(reply);
  durations.push(performance.now() - began);
  if (length === null || !isAnswerUp(reply.subarray(0, length))) failures++;
}
