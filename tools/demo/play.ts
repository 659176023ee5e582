import { setTimeout as pause } from "node:timers/promises";
import type { HealthBackend } from "../../tests/lab/backends/libraries/health_backend.ts";
import { serverName } from "./configuration.ts";
import { type Judge, serverTable, type ServerView } from "./view.ts";

/** What the demo plays with. */
export interface Stage {
  first: HealthBackend;
  second: HealthBackend;
  judge: Judge;
  /** Whether the judge is a real HAProxy. */
  real: boolean;
  /** Ends the play early. */
  signal: AbortSignal;
}

/** Something that happens, and how a server must look afterwards. */
interface Act {
  title: string;
  happens(stage: Stage): Promise<void>;
  /** Indices of the servers that are looked at. */
  servers: number[];
  up: boolean;
}

const ACTS: Act[] = [
  { title: "Both backends serve", happens: async () => {}, servers: [0, 1], up: true },
  {
    title: "Backend 1 says NOT_SERVING",
    happens: ({ first }) => first.setStatus("", "NOT_SERVING"),
    servers: [0],
    up: false,
  },
  {
    title: "Backend 1 serves again",
    happens: ({ first }) => first.setStatus("", "SERVING"),
    servers: [0],
    up: true,
  },
  { title: "Backend 2 is killed", happens: ({ second }) => second.kill(), servers: [1], up: false },
  {
    title: "Backend 2 runs again",
    happens: async ({ second }) => void await second.start(),
    servers: [1],
    up: true,
  },
];

/** Milliseconds that the judge has to see an act; it asks once a second. */
const ACT_TIMEOUT_MS = 8000;

/**
 * Lets both backends fail and recover, and shows after each act how the servers stand.
 *
 * @returns what was not seen, one line each; empty when everything was
 */
export async function play(stage: Stage): Promise<string[]> {
  const missing: string[] = [];
  for (const act of ACTS) {
    const start = performance.now();
    await act.happens(stage);
    const seen = await waitFor(stage, act);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`\n${act.title} (${seen ? "seen" : "NOT seen"} after ${seconds} s):`);
    console.log(serverTable(await stage.judge.servers()).join("\n"));
    if (!seen) missing.push(`${act.title}: ${expectation(stage, act)}`);
  }
  return missing;
}

async function waitFor(stage: Stage, act: Act): Promise<boolean> {
  const end = performance.now() + ACT_TIMEOUT_MS;
  while (performance.now() < end) {
    const servers = await stage.judge.servers();
    if (act.servers.every((index) => isAsExpected(servers[index], stage, act))) return true;
    await pause(50, undefined, { signal: stage.signal });
  }
  return false;
}

function isAsExpected(
  server: ServerView | undefined,
  { real }: Stage,
  { up }: Act,
): boolean {
  return server?.up === up && (!real || server.agentStatus === agentStatus(up));
}

function expectation({ real }: Stage, { servers, up }: Act): string {
  const status = up ? "UP" : "DOWN";
  const names = servers.map(serverName).join(" and ");
  return `${names} ${status}${real ? ` (${agentStatus(up)})` : ""}`;
}

/** How HAProxy names the agent's answers in `agent_status`. */
function agentStatus(up: boolean): string {
  return up ? "L7OK" : "L7STS";
}
