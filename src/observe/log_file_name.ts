import { basename } from "node:path";

/** Values of `log_file_rotation`: when a new file begins, in UTC. */
export const LOG_FILE_ROTATIONS = ["never", "daily", "hourly"] as const;

/** A value of `log_file_rotation`. */
export type LogFileRotation = (typeof LOG_FILE_ROTATIONS)[number];

/** Characters of an ISO 8601 time that tell the files of a rotation apart: 2026-11-23T14. */
const LETTERS = { daily: 10, hourly: 13 };

/** What rotation appends; either form, so that files from before a change of the setting are found. */
const ENDING = /^\.\d{4}-\d\d-\d\d(?:-\d\d)?$/;

/**
 * Names the file of an instant, as the Rust agent does: `agent.log.2026-11-23` (daily),
 * `agent.log.2026-11-23-14` (hourly), or the path itself.
 *
 * @param path `log_file_path`
 * @param instant milliseconds since 1970
 */
export function logFileAt(path: string, rotation: LogFileRotation, instant: number): string {
  if (rotation === "never") return path;
  const time = new Date(instant).toISOString().slice(0, LETTERS[rotation]);
  return `${path}.${time.replace("T", "-")}`;
}

/**
 * Chooses the files that are too many.
 *
 * @param path `log_file_path`
 * @param names the files of its folder, in any order
 * @param current the path of the file that is written now; it counts, and is never chosen
 * @param maxFiles how many may stay, 1 or more
 * @returns names, the oldest first; only such as rotation makes of `path`
 */
export function logFilesToDelete(
  path: string,
  names: readonly string[],
  current: string,
  maxFiles: number,
): string[] {
  const prefix = basename(path);
  const older = names.filter((name) =>
    name.startsWith(prefix) && ENDING.test(name.slice(prefix.length)) && name !== basename(current)
  ).sort();
  return older.slice(0, Math.max(0, older.length - (maxFiles - 1)));
}
