import assert from "node:assert/strict";
import { connect } from "node:net";
import type { AgentProcess } from "../agent/agent_process.ts";
import { within } from "../testing/eventually.ts";

/** Connections that ask at the same time. */
const CONNECTIONS = 10;

/**
 * Asks the same again and again over ten connections, on each one line after the other.
 *
 * @param count how often in all, a multiple of ten
 * @returns the time of the slowest answer, in milliseconds
 * @throws {AssertionError} at another answer than the expected one
 */
export async function askOften(
  agent: AgentProcess,
  line: string,
  expected: string,
  count: number,
): Promise<number> {
  let slowest = 0;
  await Promise.all(Array.from({ length: CONNECTIONS }, async () => {
    using client = await agent.connect();
    for (let index = 0; index < count / CONNECTIONS; index++) {
      const start = performance.now();
      assert.equal(await client.ask(line), expected);
      slowest = Math.max(slowest, performance.now() - start);
    }
  }));
  return slowest;
}

/** How {@linkcode askFrom} connects. */
export interface AskFromOptions {
  /** The agent's address. @default {"127.0.0.1"} */
  to?: string;
  port: number;
  line: string;
}

/**
 * Asks the agent from an address of the loopback network.
 *
 * @param from the client's own address
 * @returns the answer with its line end; "" when the agent closed or reset without a byte
 */
export async function askFrom(
  from: string,
  { to = "127.0.0.1", port, line }: AskFromOptions,
): Promise<string> {
  const socket = connect({ host: to, port, localAddress: from });
  const { promise, resolve } = Promise.withResolvers<void>();
  let received = "";
  socket.setEncoding("utf8");
  socket.on("data", (text) => {
    received += text;
    if (received.includes("\n")) resolve();
  });
  socket.on("error", () => {}); // a reset; "close" follows
  socket.on("close", () => resolve());
  socket.write(line);
  try {
    await within("an answer or a close", 10_000, promise);
    return received;
  } finally {
    socket.destroy();
  }
}
