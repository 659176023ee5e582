import { pointsAtBug } from "../lab/agent/agent_process.ts";

/** A check whose log lines are wanted. */
export interface Sought {
  readonly localPort: number;
  /** ISO 8601. */
  readonly time: string;
  readonly elapsedMs: number;
}

/** How far the clocks of line and log line may be apart, in milliseconds. */
const SLACK_MS = 1000;

/**
 * Reads the agent's log once.
 *
 * @returns the lines that point at a bug of the agent, and for each check that is sought the lines of its
 * connection
 */
export async function readAgentLog(
  path: string,
  sought: readonly Sought[],
): Promise<{ bugs: string[]; lines: Map<Sought, string[]> }> {
  const bugs: string[] = [];
  const lines = new Map<Sought, string[]>(sought.map((check) => [check, []]));
  const byPort = Map.groupBy(sought, ({ localPort }) => `127.0.0.1:${localPort}`);
  for await (const line of linesOf(path)) {
    if (pointsAtBug(line)) bugs.push(line);
    const [, peer = ""] = /"peer":"([^"]+)"/.exec(line) ?? [];
    for (const check of byPort.get(peer) ?? []) {
      const [, time = ""] = /"timestamp":"([^"]+)"/.exec(line) ?? [];
      const after = Date.parse(time) - Date.parse(check.time);
      if (after > -SLACK_MS && after < check.elapsedMs + SLACK_MS) lines.get(check)?.push(line);
    }
  }
  return { bugs, lines };
}

async function* linesOf(path: string): AsyncGenerator<string> {
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 16);
  const decoder = new TextDecoder();
  let rest = "";
  for (let count; (count = await file.read(buffer)) !== null;) {
    const lines = (rest + decoder.decode(buffer.subarray(0, count), { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}
