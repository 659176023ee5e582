import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { cacheFolder } from "../cache_folder.ts";
import { debianKeyring, debianMirror } from "../debian_mirror.ts";
import { type DockerEngine, TEST_LABEL } from "./docker_engine.ts";

/** What an image is made of. */
export interface DebianImageOptions {
  /** The suite, such as `bookworm`. */
  suite: string;
  /** Packages beside the smallest Debian that has apt. @default {[]} */
  packages?: string[];
  /** Instructions of a Dockerfile, such as `ENV A=1`. @default {[]} */
  changes?: string[];
}

/**
 * Makes a Debian image without any registry, unless the engine has one of that name: about a minute the
 * first time. The file system is kept in `$XDG_CACHE_HOME/haproxy-grpc-agent/debian`; remove that folder
 * to fetch packages afresh. It takes root and debootstrap.
 *
 * @param name the image's name
 * @throws {Error} with debootstrap's words when packages cannot be had
 */
export async function makeDebianImage(
  engine: DockerEngine,
  name: string,
  options: DebianImageOptions,
): Promise<void> {
  if ((await engine.try(["image", "inspect", name])).code === 0) return;
  const file = await cachedFileSystem(options.suite, options.packages ?? []);
  const changes = [`LABEL ${TEST_LABEL}=1`, ...options.changes ?? []];
  await engine.docker(
    ["import", ...changes.flatMap((change) => ["--change", change]), "-", name],
    { input: { file } },
  );
}

/** Gives a tar file with Debian and these packages. */
async function cachedFileSystem(suite: string, packages: readonly string[]): Promise<string> {
  const names = ["minbase", ...packages.toSorted()].join("+");
  const file = join(cacheFolder("debian"), `${suite}-${names}-${Deno.build.arch}.tar`);
  if (existsSync(file)) return file;
  await Deno.mkdir(dirname(file), { recursive: true });
  const fresh = await Deno.makeTempDir({ dir: dirname(file), prefix: ".fresh-" });
  try {
    const root = join(fresh, "root");
    await run("debootstrap", [
      ...["--variant=minbase", `--keyring=${await debianKeyring()}`],
      ...packages.length > 0 ? [`--include=${packages.join(",")}`] : [],
      ...[suite, root, await debianMirror()],
    ]);
    // Packages and their lists are of no use any more.
    await run("chroot", [root, "apt-get", "clean"]);
    await run("tar", [
      ...["--create", "--file", join(fresh, "tar"), "--directory", root, "--numeric-owner"],
      ...["--exclude=./var/lib/apt/lists/*", "."],
    ]);
    // Another run may have made the same meanwhile; whoever reads that one goes on with it.
    await Deno.rename(join(fresh, "tar"), file);
  } finally {
    await Deno.remove(fresh, { recursive: true });
  }
  return file;
}

async function run(program: string, args: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  if (success) return;
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  throw new Error(`${program}: ${said.trim().split("\n").slice(-10).join("\n")}`);
}
