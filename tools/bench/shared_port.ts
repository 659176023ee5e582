import { startHealthBackend } from "../../tests/lab/health_backend.ts";
import { freePort } from "../../tests/lab/free_port.ts";
import { startAgent } from "../../tests/lab/agent.ts";
import { median } from "../soak/durations.ts";
import { load, type LoadResult } from "./load.ts";
import type { Effort } from "./rounds.ts";

/** Agents that share a port. Medians of the rounds. */
export interface SharedPort {
  readonly agents: number;
  readonly checksPerSecond: number;
  readonly p99: number;
  /** Of all of them, microseconds a check. */
  readonly cpuUs: number;
  readonly generatorCores: number;
}

/** Asks one agent, then two behind one port (`reuse_port`), over 64 fresh connections at once. */
export async function measureSharedPort({ seconds, rounds }: Effort): Promise<SharedPort[]> {
  await using backend = await startHealthBackend();
  const [one, two] = [await startShared(1), await startShared(2)];
  await using _one = one.stack;
  await using _two = two.stack;
  const results = new Map<typeof one, LoadResult[]>([[one, []], [two, []]]);
  for (let round = 0; round <= rounds; round++) {
    for (const [shared, list] of results) {
      const order = { connections: "fresh", atOnce: 64, seconds } as const;
      const result = await load({ ...order, port: shared.port, line: backend.line() }, shared.pids);
      if (round > 0) list.push(result);
    }
  }
  return Array.from(results, ([{ pids }, list]) => ({
    agents: pids.length,
    checksPerSecond: median(list.map(({ checksPerSecond }) => checksPerSecond)),
    p99: median(list.map(({ durations }) => durations.p99)),
    cpuUs: median(list.map(({ cpuUs }) => cpuUs)),
    generatorCores: median(list.map(({ generatorCores }) => generatorCores)),
  }));
}

async function startShared(count: number) {
  const stack = new AsyncDisposableStack();
  const port = freePort();
  const flags = ["--reuse-port", "--log-checks", "none"];
  const pids: number[] = [];
  for (let index = 0; index < count; index++) {
    pids.push(stack.use(await startAgent({ port, flags })).pid);
  }
  return { stack, port, pids };
}
