// HAProxy as Debian packages it, unpacked into a folder of its own: no root, no container, and
// nothing of the machine's own apt and dpkg state is touched.

import { join } from "node:path";
import { debianKeyring, debianMirror } from "../machine/debian_mirror.ts";

/** The HAProxy release lines that the tests run against. */
export const HAPROXY_SERIES = ["3.0", "3.2", "3.4"] as const;

/** An HAProxy release line. */
export type HaproxySeries = typeof HAPROXY_SERIES[number];

// Where Debian carries each series: lists of suites, tried in order. The last suite of a list is
// the one installed from, those before it complete it. Suites move on, so the version is checked.
const SUITES: Record<HaproxySeries, string[][]> = {
  "3.0": [["trixie"]],
  "3.2": [["forky"], ["sid"], ["trixie", "trixie-backports"]],
  "3.4": [["sid", "experimental"], ["sid"], ["forky"]],
};

/**
 * Downloads the newest HAProxy of a series from Debian, with the libraries it needs, and unpacks it.
 *
 * apt checks the suite's signature with Debian's keyring and every package against it.
 * `DEBIAN_MIRROR` and `DEBIAN_KEYRING` in the environment replace the mirror of the machine's own
 * apt sources and the keyring of the package debian-archive-keyring.
 *
 * @param series The release line wanted.
 * @param dir An existing, empty folder. Afterwards it holds `haproxy`, the program to start, which
 * works wherever the folder is moved to; about 60 MB.
 * @param signal Ends the download early.
 * @throws {Error} Where apt or the keyring is missing, the mirror cannot be reached or has no
 * HAProxy of this series.
 */
export async function unpackHaproxy(
  series: HaproxySeries,
  dir: string,
  signal?: AbortSignal,
): Promise<void> {
  const problems: string[] = [];
  for (const suites of SUITES[series]) {
    const aptDir = await Deno.makeTempDir({ dir, prefix: "apt-" });
    try {
      const apt = { cwd: aptDir, signal, env: await privateApt(aptDir, suites, signal) };
      await run(["apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update"], apt);
      const packages = await choosePackages(series, suites, apt).catch((error) => {
        signal?.throwIfAborted();
        problems.push(`${suites.at(-1)}: ${error.message}`);
      });
      if (!packages) continue;
      await run(["apt-get", "-qq", "download", ...packages], apt);
      await unpack(aptDir, join(dir, "root"), signal);
      return await writeLauncher(dir, signal);
    } finally {
      await Deno.remove(aptDir, { recursive: true });
    }
  }
  throw new Error(`Debian does not carry it any more (${problems.join("; ")})`);
}

/** Makes an apt that knows only `dir` and these suites; gives the environment that selects it. */
async function privateApt(dir: string, suites: string[], signal?: AbortSignal) {
  const arch = (await run(["dpkg", "--print-architecture"], { signal })).trim();
  const mirror = await debianMirror(signal);
  const keyring = await debianKeyring();
  // How this machine reaches its mirror (proxy, certificates, clock checks) stays as it is set.
  const access = (await run(["apt-config", "dump"], { signal })).split("\n")
    .filter((line) => /^Acquire::(https?|Check-[\w-]+)\b/.test(line));

  for (const folder of ["state/lists/partial", "cache/archives/partial", "etc/apt.conf.d"]) {
    await Deno.mkdir(join(dir, folder), { recursive: true });
  }
  await Deno.writeTextFile(join(dir, "status"), ""); // an empty machine: nothing is installed
  await Deno.writeTextFile(
    join(dir, "sources.list"),
    suites.map((suite) => `deb [arch=${arch} signed-by=${keyring}] ${mirror} ${suite} main\n`)
      .join(""),
  );
  const config = join(dir, "apt.conf");
  await Deno.writeTextFile(
    config,
    [
      ...access,
      `APT::Architecture "${arch}";`,
      `APT::Architectures { "${arch}"; };`,
      `APT::Sandbox::User "root";`, // the user _apt need not be able to enter our folder
      `Acquire::AllowInsecureRepositories "false";`,
      `Acquire::Languages "none";`,
      `Dir::State "${dir}/state";`,
      `Dir::State::status "${dir}/status";`,
      `Dir::Cache "${dir}/cache";`,
      `Dir::Log "${dir}";`,
      `Dir::Etc "${dir}/etc";`, // not /etc/apt: no hooks, preferences or keys of the machine
      `Dir::Etc::SourceList "${dir}/sources.list";`,
      `Dir::Etc::Trusted "/dev/null";`,
      `Dir::Etc::TrustedParts "/dev/null";`,
    ].join("\n") + "\n",
  );
  return { APT_CONFIG: config, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" };
}

/** Lets apt resolve what HAProxy needs; gives the program and its libraries as `name=version`. */
async function choosePackages(
  series: HaproxySeries,
  suites: string[],
  apt: RunOptions,
): Promise<string[]> {
  const from = suites.at(-1) ?? "";
  const plan = await run([
    ...["apt-get", "-qq", "--simulate", "--no-install-recommends", "--target-release", from],
    ...["install", `haproxy=${series}.*`],
  ], apt);
  return [...plan.matchAll(/^Inst (haproxy|lib\S+|zlib\S+) \((\S+)/gm)]
    .map(([, name, version]) => `${name}=${version}`);
}

/** Unpacks every package in `debs` into one tree. */
async function unpack(debs: string, root: string, signal?: AbortSignal): Promise<void> {
  await Deno.mkdir(root);
  for await (const { name } of Deno.readDir(debs)) {
    if (name.endsWith(".deb")) await run(["dpkg", "-x", join(debs, name), root], { signal });
  }
}

/** Writes `dir/haproxy`, which runs the unpacked program under the dynamic loader it came with. */
async function writeLauncher(dir: string, signal?: AbortSignal): Promise<void> {
  const find = ["find", "root", "-name", "ld-linux*.so*", "-not", "-path", "*/etc/*"];
  const found = await run(find, { cwd: dir, signal });
  const loader = found.trim().split("\n").toSorted()[0];
  if (!loader) throw new Error("The packages hold no dynamic loader");
  const script = `#!/bin/sh
here=$(dirname -- "$(readlink -f -- "$0")")
libs=$(echo "$here"/root/usr/lib/*-linux-gnu*)
exec "$here/${loader}" --argv0 "$0" --library-path "$libs" "$here/root/usr/sbin/haproxy" "$@"
`;
  const launcher = join(dir, "haproxy");
  await Deno.writeTextFile(launcher, script, { mode: 0o755 });
  await run([launcher, "-v"], { signal }); // rather fail here than hand out one that does not start
}

/** What `run` may be told about the command's surroundings. */
interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** Runs a command to its end and gives its stdout; throws with its errors if it fails. */
async function run([program = "", ...args]: string[], options: RunOptions): Promise<string> {
  const { signal, ...surroundings } = options;
  signal?.throwIfAborted();
  const output = await start(program, { args, ...surroundings, ...(signal && { signal }) });
  signal?.throwIfAborted();
  if (output.success) return new TextDecoder().decode(output.stdout);
  const words = new TextDecoder().decode(output.stderr).trim().split("\n");
  const errors = words.filter((line) => line.startsWith("E: "));
  throw new Error(`${program}: ${(errors.length > 0 ? errors : words).join(" ")}`);
}

async function start(program: string, options: Deno.CommandOptions): Promise<Deno.CommandOutput> {
  try {
    return await new Deno.Command(program, options).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(`${program} is not installed (fetching needs Debian or a relative of it)`);
  }
}
