import type { AgentProcess } from "../agent/agent_process.ts";
import { eventually } from "../testing/eventually.ts";

/** Stops an agent's execution; when this resolves the system says that it is stopped. */
export async function freeze(agent: AgentProcess): Promise<void> {
  agent.signal("SIGSTOP");
  await eventually("the agent to be stopped", () => {
    const stat = Deno.readTextFileSync(`/proc/${agent.pid}/stat`);
    return stat[stat.lastIndexOf(")") + 2] === "T";
  });
}
