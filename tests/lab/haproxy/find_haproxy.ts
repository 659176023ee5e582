// Where an HAProxy to run comes from: named in the environment, in the cache, fetched, or in PATH.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { cacheFolder } from "../machine/cache_folder.ts";
import { type HaproxySeries, unpackHaproxy } from "./haproxy_packages.ts";

/**
 * Gives an HAProxy of one series, fetching it from Debian when it is not there yet (about 8 s).
 *
 * `HAPROXY_3_0`, `HAPROXY_3_2` and `HAPROXY_3_4` in the environment name executables to use instead.
 * Fetched ones are kept in `$HAPROXY_CACHE`, else `$XDG_CACHE_HOME/haproxy-grpc-agent/haproxy`, else
 * `~/.cache/haproxy-grpc-agent/haproxy`; remove that folder to fetch the newest release afresh.
 *
 * @param series The release line wanted.
 * @param signal Ends the fetching early.
 * @returns The path of the executable.
 * @throws {Error} Where it cannot be had, with the reason and the way around in one line.
 */
export async function getHaproxy(series: HaproxySeries, signal?: AbortSignal): Promise<string> {
  const override = `HAPROXY_${series.replace(".", "_")}`;
  const named = Deno.env.get(override);
  if (named) {
    const version = await haproxyVersion(named);
    if (version?.startsWith(`${series}.`)) return named;
    throw new Error(
      `${override}=${named} is ${version ? `HAProxy ${version}` : "no HAProxy"}, not ${series}`,
    );
  }
  try {
    return await cachedHaproxy(series, signal);
  } catch (error) {
    signal?.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`No HAProxy ${series} (${reason}); set ${override} to an executable`);
  }
}

/** The outcome of {@linkcode findAnyHaproxy}. */
export type FoundHaproxy =
  | { found: true; executable: string; version: string }
  | { found: false; reason: string };

/**
 * Gives any HAProxy that can ask the agent: the one in PATH (2.6 or later), else a fetched 3.2.
 *
 * @param signal Ends the fetching early.
 * @returns The executable, or why there is none and how to get one, in one line.
 */
export async function findAnyHaproxy(signal?: AbortSignal): Promise<FoundHaproxy> {
  const installed = await haproxyVersion("haproxy");
  if (installed && atLeast26(installed)) {
    return { found: true, executable: "haproxy", version: installed };
  }
  try {
    const executable = await getHaproxy("3.2", signal);
    return { found: true, executable, version: await haproxyVersion(executable) ?? "3.2" };
  } catch (error) {
    signal?.throwIfAborted();
    return { found: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

function atLeast26(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map((part) => parseInt(part));
  return major > 2 || (major === 2 && minor >= 6);
}

/** Asks an executable for its version, such as `3.2.26-1`; undefined if it is no HAProxy. */
export async function haproxyVersion(executable: string): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command(executable, { args: ["-v"] }).output();
    return /^HA-?Proxy version (\S+)/.exec(new TextDecoder().decode(stdout))?.[1];
  } catch {
    return undefined; // not there, or not to be executed
  }
}

/** Takes an HAProxy out of the cache, or puts it there whole: unpacked beside it, then renamed. */
async function cachedHaproxy(series: HaproxySeries, signal?: AbortSignal): Promise<string> {
  const home = join(cacheDir(), `${series}-${Deno.build.arch}`);
  const executable = join(home, "haproxy");
  if (existsSync(executable)) return executable;

  await Deno.mkdir(dirname(home), { recursive: true });
  await removeLeftovers(dirname(home));
  const fresh = await Deno.makeTempDir({ dir: dirname(home), prefix: `.${series}-` });
  try {
    await unpackHaproxy(series, fresh, signal);
    await Deno.chmod(fresh, 0o755);
    await Deno.rename(fresh, home);
  } catch (error) {
    await Deno.remove(fresh, { recursive: true });
    // Another run may have put the same thing there first; a folder in use is never replaced.
    if (!existsSync(executable)) throw error;
  }
  return executable;
}

/** Removes what runs that were killed while fetching have left; one under way is younger. */
async function removeLeftovers(cache: string): Promise<void> {
  for await (const { name } of Deno.readDir(cache)) {
    if (!name.startsWith(".")) continue;
    const path = join(cache, name);
    const { mtime } = await Deno.stat(path);
    if (mtime && Date.now() - mtime.getTime() > LEFTOVER_MS) {
      await Deno.remove(path, { recursive: true });
    }
  }
}

const LEFTOVER_MS = 60 * 60 * 1000;

function cacheDir(): string {
  return Deno.env.get("HAPROXY_CACHE") || cacheFolder("haproxy");
}
