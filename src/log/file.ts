import { basename, dirname, join, resolve } from "node:path";
import { reasonOf } from "../describe_error.ts";
import {
  LineWriter,
  type LogDestination,
  LogFallback,
  type LogFileObserver,
  type Written,
} from "./output.ts";

/** Where log files go unless Deno is told otherwise: `permissions.agent.write` in deno.json. */
const LOG_FOLDER = "/var/log";

/** The settings that say where the log goes. */
export interface LogSettings {
  readonly log_destination: "console" | "file";
  readonly log_file_path: string | undefined;
  readonly log_file_rotation: LogFileRotation;
  readonly log_file_max_files: number | undefined;
}

/** The place that the log goes to, or one line that says why it cannot. */
export type OpenedLog =
  | {
    readonly ok: true;
    readonly destination: LogDestination;
    /** Has the log file opened anew if somebody has moved it away: logrotate, say. */
    readonly look: () => void;
  }
  | { readonly ok: false; readonly mistake: string };

/** Opens what `log_destination` names. If a file cannot be written later, its lines go to stderr. */
export async function openLog(
  settings: LogSettings,
  observer: LogFileObserver,
): Promise<OpenedLog> {
  const stderr = new LineWriter((bytes) => Deno.stderr.write(bytes));
  if (settings.log_destination === "console" || settings.log_file_path === undefined) {
    return { ok: true, destination: stderr, look: () => {} };
  }
  const mistake = logFileMistake(settings);
  if (mistake !== undefined) return { ok: false, mistake };
  const path = resolve(settings.log_file_path);
  const folder = dirname(path);
  const { log_file_rotation: rotation, log_file_max_files: maxFiles } = settings;
  const file = new LogFile({ path, rotation, maxFiles }, observer);
  try {
    if (isMissing(folder)) await Deno.mkdir(folder, { recursive: true });
    await file.open();
  } catch (error) {
    return { ok: false, mistake: cannotBeWritten(settings.log_file_path, reasonOf(error)) };
  }
  return {
    ok: true,
    destination: new LogFallback(file, stderr, observer),
    look: () => file.look(),
  };
}

/** @returns what is wrong with the log file, as far as that shows without creating it or its folder */
export function logFileMistake(settings: LogSettings): string | undefined {
  const { log_destination: destination, log_file_path: given } = settings;
  if (destination === "console" || given === undefined) return undefined;
  const path = resolve(given);
  const folder = dirname(path);
  const missing = isMissing(folder);
  // Queried first, since at a terminal Deno would ask the user, and wait.
  const needed = settings.log_file_rotation === "never" && !missing ? path : folder;
  if (Deno.permissions.querySync({ name: "write", path: needed }).state !== "granted") {
    return cannotBeWritten(
      given,
      `Deno's permissions do not allow it: use a file in ${LOG_FOLDER}, or start the agent with ` +
        `deno run -P=agent --allow-write=${folder}`,
    );
  }
  const target = settings.log_file_rotation === "never" ? danglingLink(path) : undefined;
  if (target === undefined) return undefined;
  // Deno (2.9.6) makes no file through a link: "No such file or directory".
  return cannotBeWritten(
    given,
    `it is a symbolic link to ${JSON.stringify(target)}, which is missing`,
  );
}

/** @returns the missing target of a symbolic link; `undefined` for any other path */
function danglingLink(path: string): string | undefined {
  if (!isMissing(path)) return undefined;
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

function isMissing(path: string): boolean {
  try {
    Deno.statSync(path);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

function cannotBeWritten(path: string, reason: string): string {
  return `log_file_path: ${JSON.stringify(path)} cannot be written: ${reason}`;
}

/** How often to look whether the file still stands where it was opened, in milliseconds. */
const LOOK_EVERY_MS = 1000;

/** Where and how a log file is written. */
export interface LogFileOptions {
  /** Absolute. */
  readonly path: string;
  readonly rotation: LogFileRotation;
  /** How many rotated files stay, the current one included; all, when undefined. */
  readonly maxFiles: number | undefined;
  /** Milliseconds since 1970, to name the file by. @default {Date.now} */
  readonly now?: () => number;
  /** A clock in milliseconds that never goes back. @default {performance.now} */
  readonly elapsed?: () => number;
}

interface OpenFile {
  readonly path: string;
  readonly file: Deno.FsFile;
  readonly writer: LineWriter;
  readonly identity: string;
}

/**
 * A log file, always appended to. A new one begins when its time has come, and when somebody has moved it
 * away (logrotate) or deleted it.
 */
export class LogFile implements LogDestination, Disposable {
  readonly #options: LogFileOptions;
  readonly #observer: Pick<LogFileObserver, "onUndeleted">;
  readonly #now: () => number;
  readonly #elapsed: () => number;
  #open: OpenFile | undefined;
  #lookedAt = -Infinity;
  /** The current file for which old ones have been deleted already. */
  #newest: string | undefined;

  /** Touches nothing yet. */
  constructor(options: LogFileOptions, observer: Pick<LogFileObserver, "onUndeleted">) {
    this.#options = options;
    this.#observer = observer;
    this.#now = options.now ?? Date.now;
    this.#elapsed = options.elapsed ?? (() => performance.now());
  }

  /**
   * Opens the current file, unless it is open.
   *
   * @throws when it cannot be opened
   */
  async open(): Promise<void> {
    await this.#current();
  }

  /** Has the next write look whether the file still stands where it was opened. */
  look(): void {
    this.#lookedAt = -Infinity;
  }

  async write(lines: Uint8Array): Promise<Written> {
    let open: OpenFile;
    try {
      open = await this.#current();
    } catch (error) {
      return { ok: false, written: 0, error };
    }
    const written = await open.writer.write(lines);
    if (!written.ok) this[Symbol.dispose]();
    else await this.#deleteOld(open.path);
    return written;
  }

  /** Closes the file. A later write opens it again. */
  [Symbol.dispose](): void {
    this.#open?.file.close();
    this.#open = undefined;
  }

  async #current(): Promise<OpenFile> {
    const path = logFileAt(this.#options.path, this.#options.rotation, this.#now());
    const elapsed = this.#elapsed();
    const look = elapsed - this.#lookedAt >= LOOK_EVERY_MS;
    if (look) this.#lookedAt = elapsed;
    const open = this.#open;
    if (open?.path === path && (!look || await identityOf(path) === open.identity)) return open;
    this[Symbol.dispose]();
    this.#open = await openFile(path);
    return this.#open;
  }

  /** Once for each new file. */
  async #deleteOld(current: string): Promise<void> {
    const { path, rotation, maxFiles } = this.#options;
    if (this.#newest === current) return;
    this.#newest = current;
    if (rotation === "never" || maxFiles === undefined) return;
    const folder = dirname(path);
    try {
      const files = (await Array.fromAsync(Deno.readDir(folder))).filter(({ isFile }) => isFile);
      const names = logFilesToDelete(path, files.map(({ name }) => name), current, maxFiles);
      const results = await Promise.allSettled(
        names.map((name) => Deno.remove(join(folder, name))),
      );
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) this.#observer.onUndeleted(failed.reason);
    } catch (error) {
      this.#observer.onUndeleted(error);
    }
  }
}

async function openFile(path: string): Promise<OpenFile> {
  const before = await Deno.stat(path).catch(() => undefined);
  // To open a named pipe would wait for its reader.
  if (before?.isFile === false) throw new Error("it is not a regular file");
  const file = await Deno.open(path, { read: true, append: true, create: true });
  try {
    const { size } = await file.stat();
    const writer = new LineWriter((bytes) => file.write(bytes), await isBroken(file, size));
    return { path, file, writer, identity: identity(await file.stat()) };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Whether the last line has no end, as after a full disk or a crash of the machine. */
async function isBroken(file: Deno.FsFile, size: number): Promise<boolean> {
  if (size === 0) return false;
  await file.seek(-1, Deno.SeekMode.End);
  const last = new Uint8Array(1);
  return await file.read(last) === 1 && last[0] !== 0x0a;
}

async function identityOf(path: string): Promise<string | undefined> {
  return await Deno.stat(path).then(identity, () => undefined);
}

function identity({ dev, ino }: Deno.FileInfo): string {
  return `${dev} ${ino}`;
}

/** Values of `log_file_rotation`: when a new file begins, in UTC. */
export const LOG_FILE_ROTATIONS = ["never", "daily", "hourly"] as const;

export type LogFileRotation = (typeof LOG_FILE_ROTATIONS)[number];

/** How many characters of an ISO 8601 time (2026-11-23T14) are appended. */
const TIME_LENGTH = { daily: 10, hourly: 13 };

/** What either rotation appends, so that files from before a change of the setting are found too. */
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
  const time = new Date(instant).toISOString().slice(0, TIME_LENGTH[rotation]);
  return `${path}.${time.replace("T", "-")}`;
}

/**
 * Chooses the files that are too many, the oldest first. But before these go files whose time is yet to come: a clock
 * that was ahead has left them, and for years they would be kept instead of newer ones.
 *
 * @param path `log_file_path`
 * @param names the files of its folder, in any order
 * @param current the path of the file that is written now; it counts, and is never chosen
 * @param maxFiles how many may stay, 1 or more
 * @returns names, in the order in which they go; only such as rotation makes of `path`
 */
export function logFilesToDelete(
  path: string,
  names: readonly string[],
  current: string,
  maxFiles: number,
): string[] {
  const prefix = basename(path);
  const now = basename(current);
  const others = names.filter((name) =>
    name.startsWith(prefix) && ENDING.test(name.slice(prefix.length)) && name !== now
  ).sort();
  // With daily rotation, files of today's hours, left from hourly rotation, are not ahead.
  const isAhead = (name: string) => name.slice(0, now.length) > now;
  const inOrder = [...others.filter(isAhead), ...others.filter((name) => !isAhead(name))];
  return inOrder.slice(0, Math.max(0, others.length - (maxFiles - 1)));
}
