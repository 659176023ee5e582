import assert from "node:assert/strict";
import type { AgentProcess } from "../agent/agent_process.ts";

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
