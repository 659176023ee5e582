import { dirname, resolve } from "node:path";
import type { Settings } from "./config/settings.ts";
import { reasonOf } from "./describe_error.ts";
import { LineWriter } from "./observe/line_writer.ts";
import type { LogDestination } from "./observe/log_destination.ts";
import { type FallbackListener, LogFallback } from "./observe/log_fallback.ts";
import { LogFile, type LogFileOptions } from "./observe/log_file.ts";

/** Where log files go unless Deno is told otherwise: `permissions.agent.write` in deno.json. */
const LOG_FOLDER = "/var/log";

/** Who is told what happens to the log file. Nothing may throw. */
export type LogFileListener = FallbackListener & Pick<LogFileOptions, "onUndeleted">;

/** The place that the log goes to, or one line that says why it cannot. */
export type OpenedLog =
  | {
    readonly ok: true;
    readonly destination: LogDestination;
    /** Has the log file opened anew if somebody has moved it away. */
    readonly look: () => void;
  }
  | { readonly ok: false; readonly mistake: string };

/** Opens what `log_destination` names. Should a file fail later, its lines go to stderr. */
export async function openLog(settings: Settings, listener: LogFileListener): Promise<OpenedLog> {
  const stderr = new LineWriter((bytes) => Deno.stderr.write(bytes));
  if (settings.log_destination === "console" || settings.log_file_path === undefined) {
    return { ok: true, destination: stderr, look: () => {} };
  }
  const mistake = logFileMistake(settings);
  if (mistake !== undefined) return { ok: false, mistake };
  const path = resolve(settings.log_file_path);
  const folder = dirname(path);
  const file = new LogFile({
    path,
    rotation: settings.log_file_rotation,
    maxFiles: settings.log_file_max_files,
    onUndeleted: listener.onUndeleted,
  });
  try {
    if (isMissing(folder)) await Deno.mkdir(folder, { recursive: true });
    await file.open();
  } catch (error) {
    return { ok: false, mistake: cannotBeWritten(settings.log_file_path, reasonOf(error)) };
  }
  return {
    ok: true,
    destination: new LogFallback(file, stderr, listener),
    look: () => file.look(),
  };
}

/** @returns what is wrong with the log file as far as it shows without making it or its folder */
export function logFileMistake(settings: Settings): string | undefined {
  const { log_destination: destination, log_file_path: given } = settings;
  if (destination === "console" || given === undefined) return undefined;
  const path = resolve(given);
  const folder = dirname(path);
  const missing = isMissing(folder);
  // Asked beforehand: at a terminal Deno would put the question to the user, and wait.
  const needed = settings.log_file_rotation === "never" && !missing ? path : folder;
  if (Deno.permissions.querySync({ name: "write", path: needed }).state !== "granted") {
    return cannotBeWritten(
      given,
      `Deno's permissions do not allow it: use a file in ${LOG_FOLDER}, or start the agent with ` +
        `deno run -P=agent --allow-write=${folder}`,
    );
  }
  return undefined;
}

function isMissing(folder: string): boolean {
  try {
    Deno.statSync(folder);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

function cannotBeWritten(path: string, reason: string): string {
  return `log_file_path: ${JSON.stringify(path)} cannot be written: ${reason}`;
}
