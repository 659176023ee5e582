// What the kernel tells of a process in /proc/PID/stat (proc_pid_stat(5)).

import { eventually } from "../testing/eventually.ts";

/** Linux counts processor time in hundredths of a second. */
export const TICK_MS = 10;

/** Processor time of a process so far, user and system, in milliseconds; NaN when it is gone. */
export function processorMs(pid: number): number {
  try {
    const fields = fieldsOf(pid);
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return NaN;
  }
}

/**
 * Waits until the kernel shows a process as stopped, as SIGSTOP makes it, or as not stopped: a signal takes
 * effect some time after it was sent.
 */
export async function untilStopped(pid: number, stopped = true): Promise<void> {
  await eventually(`process ${pid} to be ${stopped ? "stopped" : "continued"}`, () => {
    const [state] = fieldsOf(pid);
    return (state === "T") === stopped;
  }, { everyMs: 1 });
}

/** The fields after the name, which may hold blanks: the first is the state. */
function fieldsOf(pid: number): string[] {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}
