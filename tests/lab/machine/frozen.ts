import type { AgentProcess } from "../agent.ts";
import { eventually } from "../eventually.ts";

/** Stops an agent's execution; when this resolves the system says that it is stopped. */
export async function freeze(agent: AgentProcess): Promise<void> {
  agent.signal("SIGSTOP");
  await eventually("the agent to be stopped", () => {
    const stat = Deno.readTextFileSync(`/proc/${agent.pid}/stat`);
    return stat[stat.lastIndexOf(")") + 2] === "T";
  });
}
