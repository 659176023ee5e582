import { startHealthBackend } from "../../tests/lab/health_backend.ts";
import { LineClient } from "../../tests/lab/line_client.ts";
import { type Memory, memoryOf } from "./memory.ts";
import { processorMs } from "./processor_ms.ts";
import { startQuietAgent } from "./subjects.ts";

/** Checks a second, over fresh connections: what design and operators reckon with. */
const RATE = 100;

/** The agent at a rate that many installations have. */
export interface Steady {
  readonly backends: number;
  /** Before the first check. */
  readonly idle: Memory;
  /** While it was asked, with the time since the first check in seconds. */
  readonly samples: readonly (Memory & { readonly second: number })[];
  /** Microseconds a check, the first ones with all their compiling included. */
  readonly cpuUs: number;
}

/**
 * Asks a new agent 100 times a second.
 *
 * @param backends how many different backends (authorities, each with a channel of its own)
 * @param seconds how long; the memory is read at the end and every `sampleSeconds` before
 */
export async function measureSteady(
  backends: number,
  seconds: number,
  sampleSeconds = seconds,
): Promise<Steady> {
  await using backend = await startHealthBackend();
  await using agent = await startQuietAgent();
  const idle = memoryOf(agent.pid);
  const cpuBefore = processorMs(agent.pid);
  const samples: (Memory & { second: number })[] = [];
  const under = new Set<Promise<void>>();
  const began = performance.now();
  let failures = 0;
  let asked = 0;
  for (; asked < seconds * RATE; asked++) {
    const line = `127.0.0.1 ${backend.port} no-ssl b${asked % backends}.test\n`;
    const ask = askOnce(agent.port, line).then((up) => {
      if (!up) failures++;
      under.delete(ask);
    });
    under.add(ask);
    const wait = began + asked * 1000 / RATE - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if ((asked + 1) % (sampleSeconds * RATE) === 0) {
      samples.push({ second: (asked + 1) / RATE, ...memoryOf(agent.pid) });
    }
  }
  await Promise.all(under);
  if (failures > 0) throw new Error(`${failures} of ${asked} answers were not up`);
  const cpuUs = (processorMs(agent.pid) - cpuBefore) * 1000 / asked;
  return { backends, idle, samples, cpuUs };
}

async function askOnce(port: number, line: string): Promise<boolean> {
  using client = await LineClient.open(port);
  return await client.ask(line) === "up\n";
}
