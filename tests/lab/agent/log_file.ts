import { eventually } from "../testing/eventually.ts";
import type { LogEntry } from "./agent_process.ts";

/** Why tests that give the agent a folder are ignored: what a build may write to was settled with it. */
export const ignore = Deno.env.has("AGENT");

/** Runs a test with a folder of its own. */
export async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Flags that have the agent log to a file. */
export function logTo(path: string, ...more: string[]): string[] {
  return ["--log-destination", "file", "--log-file-path", path, ...more];
}

/** The entries of a log file; none, when it is not there. */
export async function entriesOf(path: string): Promise<LogEntry[]> {
  const text = await Deno.readTextFile(path).catch(() => "");
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

/** Waits until a log file has an entry with this message. */
export async function waitForEntry(path: string, message: RegExp): Promise<LogEntry> {
  return await eventually(
    `${message} in ${path}`,
    async () => (await entriesOf(path)).find((entry) => message.test(entry.message)),
  );
}
