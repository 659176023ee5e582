/** Linux counts processor time in hundredths of a second. */
const TICKS_A_SECOND = 100;

/** Processor time since an earlier moment. */
export interface ProcessorUse {
  /** How many cores' worth was not used by anybody. */
  readonly freeCores: number;
  /** How many cores' worth a process used. */
  readonly agentCores: number;
  readonly askerCores: number;
}

interface Times {
  readonly at: number;
  readonly idle: number;
  readonly agent: number;
  readonly asker: number;
}

/** @returns a function that gives the use since now */
export function measureProcessors(agentPid: number): () => ProcessorUse {
  const before = read(agentPid);
  return () => {
    const after = read(agentPid);
    const ticks = (after.at - before.at) / 1000 * TICKS_A_SECOND;
    return {
      freeCores: (after.idle - before.idle) / ticks,
      agentCores: (after.agent - before.agent) / ticks,
      askerCores: (after.asker - before.asker) / ticks,
    };
  };
}

function read(agentPid: number): Times {
  // Of all cores together: user, nice, system, idle, iowait ...
  const [, , , , idle = "", iowait = ""] = Deno.readTextFileSync("/proc/stat").split(/ +/);
  return {
    at: performance.now(),
    idle: Number(idle) + Number(iowait),
    agent: ticksOf(agentPid),
    asker: ticksOf(Deno.pid),
  };
}

/** User and system time of a process; NaN when it is gone. */
function ticksOf(pid: number): number {
  const stat = statOf(pid);
  if (stat === undefined) return NaN;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

function statOf(pid: number): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch {
    return undefined;
  }
}
