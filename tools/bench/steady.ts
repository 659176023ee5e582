import { startHealthBackend } from "../../tests/lab/backends/libraries/health_backend.ts";
import { load } from "./load.ts";
import { type Memory, memoryOf } from "./memory.ts";
import { startMeasuredAgent } from "./subjects.ts";

/** What the agent holds at a rate that many installations have, 100 checks a second. */
export interface Steady {
  /** Before the first check. */
  readonly idle: Memory;
  readonly after: Memory;
}

/** Asks a new agent with default settings for a while. */
export async function measureSteady(seconds: number): Promise<Steady> {
  await using backend = await startHealthBackend({ host: "0.0.0.0" });
  // What a first start leaves in the cache belongs to an installation.
  await (await startMeasuredAgent()).stop();
  await using agent = await startMeasuredAgent();
  const idle = memoryOf(agent.pid);
  const order = { connections: "fresh", atOnce: 1, targets: 1, perSecond: 100, seconds } as const;
  const where = { port: agent.port, backendPort: backend.port };
  const { memory } = await load({ ...order, ...where }, agent.pid);
  return { idle, after: memory };
}
