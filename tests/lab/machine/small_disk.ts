import type { AgentProcess } from "../agent/agent_process.ts";
import { succeeds, testThatNeeds } from "../testing/test_that_needs.ts";

/** The folder of log files that the agent may write to as it ships. */
export const LOG_FOLDER = "/var/log/haproxy-grpc-agent";

/** How the agent is started so that {@linkcode LOG_FOLDER} is there, on a disk of 64 KiB of its own. */
const WRAPPER = [
  "unshare",
  ...["--map-root-user", "--mount", "sh", "-c"],
  `mount -t tmpfs -o size=64k tmpfs /var/log && mkdir ${LOG_FOLDER} && exec "$@"`,
  "sh",
] as const;

/**
 * A test with a small disk for the agent's log. It takes the right to mount in a namespace of one's own; see
 * {@linkcode testThatNeeds} for machines without it.
 *
 * @param test is given the wrapper with which to start the agent
 */
export function testWithSmallDisk(name: string, test: (wrapper: string[]) => Promise<void>): void {
  const missing = succeeds(...WRAPPER, "true")
    ? undefined
    : "this user may not mount a disk of its own";
  testThatNeeds({ missing }, name, () => test([...WRAPPER]));
}

/** A path of the agent's disk as the test can reach it. */
export function onDiskOf(agent: AgentProcess, path: string): string {
  return `/proc/${agent.pid}/root${path}`;
}

/** Fills the disk of an agent. @returns a function that frees it again */
export async function fillDisk(agent: AgentProcess): Promise<() => Promise<void>> {
  const path = onDiskOf(agent, "/var/log/filler");
  using file = await Deno.create(path);
  const block = new Uint8Array(1024);
  try {
    while (true) await file.write(block);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOSPC") throw error;
  }
  return () => Deno.remove(path);
}
