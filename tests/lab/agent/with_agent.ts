import assert from "node:assert/strict";
import { eventually, withSeen } from "../testing/eventually.ts";
import { type AgentProcess, startAgent, type StartAgentOptions } from "./agent_process.ts";
import type { Metrics } from "./metrics_text.ts";

/**
 * Starts an agent, runs a test with it, and stops it. Whatever the test was about, the agent must have
 * lived through it, end with 0 at SIGTERM, and have no bug in its log.
 *
 * @throws {Error} what the test throws, with the end of the agent's log
 */
export async function withAgent(
  options: StartAgentOptions,
  test: (agent: AgentProcess) => Promise<void>,
): Promise<void> {
  await using agent = await startAgent(options);
  try {
    await test(agent);
    assert.ok(agent.running, "The agent ended during the test");
    assert.equal((await agent.stop()).code, 0, "The agent's exit code at SIGTERM");
    assert.deepEqual(agent.faults(), []);
  } catch (error) {
    const log = agent.stderr.slice(-20).join("\n");
    throw withSeen(error, `\nThe end of the agent's log:\n${log}`);
  }
}

/** How checks were counted: `result` values of check_requests_total, then error types, with counts. */
export type Counted = Record<string, number>;

/**
 * Runs a test and tells how the checks in it were counted.
 *
 * @param checks the number of lines that the test has answered
 */
export async function counting(
  agent: AgentProcess,
  checks: number,
  test: () => Promise<void>,
): Promise<Counted> {
  const before = await agent.metrics();
  await test();
  return await eventually("the checks to be counted", async () => {
    const after = await agent.metrics();
    const counted = {
      ...growth("check_requests_total", "result", before, after),
      ...growth("check_errors_total", "error_type", before, after),
    };
    const { up = 0, down = 0, error = 0 } = counted;
    return up + down + error >= checks ? counted : undefined;
  });
}

function growth(name: string, label: string, before: Metrics, after: Metrics): Counted {
  const grown: Counted = {};
  for (const [sample, value] of after) {
    const [, labelValue] = new RegExp(`^${name}\\{${label}="([a-z_]+)"\\}$`).exec(sample) ?? [];
    const by = value - (before.get(sample) ?? 0);
    if (labelValue !== undefined && by !== 0) grown[labelValue] = by;
  }
  return grown;
}
