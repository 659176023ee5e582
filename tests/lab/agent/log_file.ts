import { eventually } from "../testing/eventually.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import type { LogEntry } from "./agent_process.ts";

/**
 * A test with a folder that the agent may write to. It is ignored where AGENT names an executable: what that
 * one may write to was settled when it was built.
 */
export function testWithFolder(name: string, test: (folder: string) => Promise<void>): void {
  Deno.test({
    name,
    ignore: Deno.env.has("AGENT"),
    fn: async () => {
      await using folder = await TempDirectory.create();
      await test(folder.path);
    },
  });
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
