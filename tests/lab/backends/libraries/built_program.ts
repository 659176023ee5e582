import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { cacheFolder } from "../../machine/cache_folder.ts";

/** What to build. */
export interface Build {
  /** The program's name, for its folder and for messages. */
  readonly name: string;
  /** The folder of its sources. When one of them changes, the program is built anew. */
  readonly sources: string;
  /** The programs that build it, each with arguments that end at once, such as `--version`. */
  readonly tools: readonly (readonly string[])[];
  /** What to install where a tool is missing. */
  readonly install: string;
  /** Run one after the other in a copy of the sources; the program stays in that folder. */
  readonly commands: readonly (readonly string[])[];
}

/** Where a program was built, or what is missing for it. */
type Built =
  | { readonly folder: string; readonly missing: undefined }
  | { readonly folder: undefined; readonly missing: string };

/**
 * A program that is built at its first use, in the user's cache, and again when its sources change. Its libraries come
 * from their registry then. Two processes that build it at once do not disturb each other.
 */
export class BuiltProgram {
  readonly #build: Build;
  #built: Promise<Built> | undefined;

  constructor(build: Build) {
    this.#build = build;
  }

  /** Builds it if necessary. @returns what is missing for that: a tool, or the registry */
  async missing(): Promise<string | undefined> {
    return (await this.#once()).missing;
  }

  /**
   * Builds it if necessary.
   *
   * @returns the folder in which the commands have run
   * @throws {Error} with what is missing
   */
  async folder(): Promise<string> {
    const { folder, missing } = await this.#once();
    if (missing !== undefined) throw new Error(missing);
    return folder;
  }

  #once(): Promise<Built> {
    return this.#built ??= buildOnce(this.#build);
  }
}

async function buildOnce(build: Build): Promise<Built> {
  const cache = cacheFolder();
  const sources = await readAll(build.sources);
  const folder = `${cache}/${build.name}-${await hashOf([build.commands, ...sources])}`;
  if (existsSync(folder)) return { folder, missing: undefined };
  for (const tool of build.tools) {
    if (await failureOf(tool, ".") !== undefined) {
      return { folder: undefined, missing: build.install };
    }
  }
  await Deno.mkdir(cache, { recursive: true });
  const fresh = await Deno.makeTempDir({ dir: cache, prefix: `${build.name}-` });
  try {
    for (const [path, text] of sources) {
      await Deno.mkdir(dirname(`${fresh}/${path}`), { recursive: true });
      await Deno.writeTextFile(`${fresh}/${path}`, text);
    }
    for (const command of build.commands) {
      const failure = await failureOf(command, fresh);
      if (failure === undefined) continue;
      const missing =
        `${build.name} cannot be built, its libraries' registry is needed: ${failure}`;
      return { folder: undefined, missing };
    }
    await Deno.rename(fresh, folder).catch((error) => {
      // Another process may have built the same meanwhile.
      if (!existsSync(folder)) throw error;
    });
    return { folder, missing: undefined };
  } finally {
    await Deno.remove(fresh, { recursive: true }).catch(() => {});
  }
}

/** @returns path and text of each file, in the order of their paths */
async function readAll(folder: string, within = ""): Promise<[path: string, text: string][]> {
  const files: [string, string][] = [];
  const entries = await Array.fromAsync(Deno.readDir(`${folder}/${within}`));
  for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = `${within}${name}`;
    if (isDirectory) files.push(...await readAll(folder, `${path}/`));
    else files.push([path, await Deno.readTextFile(`${folder}/${path}`)]);
  }
  return files;
}

async function hashOf(content: unknown): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(content));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex().slice(0, 16);
}

/** @returns the end of what a command said when it failed, or that it is not there */
async function failureOf(command: readonly string[], cwd: string): Promise<string | undefined> {
  const [program = "", ...args] = command;
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, { args, cwd }).output();
    if (success) return undefined;
    const decoder = new TextDecoder();
    return `${decoder.decode(stdout)}${decoder.decode(stderr)}`.trim().split("\n").slice(-5)
      .join("\n");
  } catch (error) {
    return (error as Error).message;
  }
}
