/**
 * Asks an agent, in a process of its own so that its processor time is not the agent's: some
 * connections, each with one check under way at a time, or one check after the other at a steady rate.
 * Prints one JSON line.
 */

import { processorMs } from "../../tests/lab/machine/process_state.ts";
import { isAnswerUp, type LoadOrder, type LoadReport, targetAddress } from "./load.ts";

/** HAProxy's default for `agent-inter`. */
const SECONDS_BETWEEN_CHECKS = 2;

const order: LoadOrder = JSON.parse(Deno.args[0] ?? "");
const encoder = new TextEncoder();
const lines = Array.from(
  { length: order.targets },
  (_, index) =>
    encoder.encode(`${targetAddress(index)} ${order.backendPort} no-ssl backend.test\n`),
);
const durations: number[] = [];
let failures = 0;

const once = order.seconds === 0;
/** The check that comes next; not always the same ones where there is no time for all. */
let next = once ? 0 : Math.floor(Math.random() * order.targets);
const kept = order.connections === "kept"
  ? await Promise.all(Array.from({ length: order.atOnce }, connect))
  : [];
const processorMsBefore = processorMs(Deno.pid);
const began = performance.now();
const end = began + order.seconds * 1000;
if (order.perSecond !== undefined) await askSteadily(order.perSecond);
else if (order.connections === "kept") await Promise.all(kept.map(askOverOne));
else await Promise.all(Array.from({ length: order.atOnce }, askOverFresh));
const report: LoadReport = {
  durations,
  failures,
  seconds: (performance.now() - began) / 1000,
  processorMs: processorMs(Deno.pid) - processorMsBefore,
};
console.log(JSON.stringify(report));

function goesOn(): boolean {
  return once ? next < order.targets : performance.now() < end;
}

/** As HAProxy: a connection for each check. */
async function askOverFresh(): Promise<void> {
  const reply = new Uint8Array(64);
  while (goesOn()) await askFresh(reply);
}

async function askFresh(reply: Uint8Array): Promise<void> {
  const began = performance.now();
  using connection = await connect();
  await askOnce(connection, reply, began);
}

async function askOverOne(connection: Deno.TcpConn): Promise<void> {
  const reply = new Uint8Array(64);
  using _ = connection;
  while (goesOn()) await askOnce(connection, reply, performance.now());
}

/**
 * Does not wait for an answer before the next check, as many HAProxies that know nothing of each other;
 * but no server is asked anew while it is being asked.
 */
async function askSteadily(perSecond: number): Promise<void> {
  const underWay = new Set<Promise<void>>();
  for (let asked = 1; goesOn(); asked++) {
    const ask = askFresh(new Uint8Array(64)).finally(() => underWay.delete(ask));
    underWay.add(ask);
    while (underWay.size >= perSecond * SECONDS_BETWEEN_CHECKS) await Promise.race(underWay);
    const wait = began + asked * 1000 / perSecond - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  }
  await Promise.all(underWay);
}

async function connect(): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: order.port });
  connection.setNoDelay();
  return connection;
}

async function askOnce(connection: Deno.TcpConn, reply: Uint8Array, began: number): Promise<void> {
  await connection.write(lines[next++ % lines.length] ?? new Uint8Array());
  const length = await connection.read(reply);
  durations.push(performance.now() - began);
  if (length === null || !isAnswerUp(reply.subarray(0, length))) failures++;
}
