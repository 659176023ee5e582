/** Where an agent with `timer_count.ts` tells its timers: below /tmp, where the agent may write. */
export function timerFile(pid: number): string {
  return `/tmp/agent-timers-${pid}`;
}
