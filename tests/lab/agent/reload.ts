import { eventually } from "../testing/eventually.ts";
import type { AgentProcess, LogEntry } from "./agent_process.ts";

/** What the agent says at last when a new configuration holds. */
export const RELOADED = "Configuration read again";

/**
 * Sends SIGHUP and waits for what the agent says at last.
 *
 * @returns all that it has said of it
 */
export async function reload(agent: AgentProcess, last = RELOADED): Promise<LogEntry[]> {
  const before = agent.logs.length;
  agent.signal("SIGHUP");
  await eventually(`"${last}"`, () => agent.logs.slice(before).some((e) => e.message === last));
  return agent.logs.slice(before).filter(({ component }) => component === "config");
}
