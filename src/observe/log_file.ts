import { dirname, join } from "node:path";
import { LineWriter } from "./line_writer.ts";
import type { LogDestination, Written } from "./log_destination.ts";
import { logFileAt, type LogFileRotation, logFilesToDelete } from "./log_file_name.ts";

/** How often to look whether the file still stands where it was opened, in milliseconds. */
const LOOK_EVERY_MS = 1000;

/** Where and how a log file is written. */
export interface LogFileOptions {
  /** Absolute. */
  readonly path: string;
  readonly rotation: LogFileRotation;
  /** How many rotated files stay, the current one included; all, when undefined. */
  readonly maxFiles: number | undefined;
  /** Told when files that are too many cannot be deleted. Must not throw. */
  readonly onUndeleted: (error: unknown) => void;
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
  readonly #now: () => number;
  readonly #elapsed: () => number;
  #open: OpenFile | undefined;
  #lookedAt = -Infinity;
  /** The file for which the old ones were deleted. */
  #newest: string | undefined;

  /** Touches nothing yet. */
  constructor(options: LogFileOptions) {
    this.#options = options;
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
      if (failed !== undefined) this.#options.onUndeleted(failed.reason);
    } catch (error) {
      this.#options.onUndeleted(error);
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

/** Whether the last line has no end: the disk was full then, or the machine went down. */
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
