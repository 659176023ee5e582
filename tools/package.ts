/**
 * Makes a .deb and an .rpm of an executable, in dist/packages: `deno task package [EXECUTABLE]`, by default
 * that of `deno task compile`. It takes nfpm 2.43 in the PATH, or NFPM=PATH:
 *
 *   go install github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
 *
 * PACKAGE_VERSION and PACKAGE_MAINTAINER say what the packages call themselves, SOURCE_DATE_EPOCH when their
 * files were made (by default when the last commit was), and PACKAGE_COMPRESSION (gzip, for one) trades size
 * for the half minute that xz takes.
 */

import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { parse, stringify } from "yaml";
import project from "../deno.json" with { type: "json" };
import { packageFiles } from "./packaging/package_files.ts";
import { runProgram } from "./packaging/run_program.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const STAGE = "dist/package";
const OUTPUT = "dist/packages";
/** nfpm's configuration, as far as it is changed here. */
interface NfpmConfig {
  readonly contents: { type?: string }[];
  readonly deb: { compression?: string };
  readonly rpm: { compression?: string };
}

/** What packages call the processors that an ELF file's header numbers (e_machine). */
const ARCHITECTURES: Readonly<Record<number, string>> = { 62: "amd64", 183: "arm64" };

const executable = resolve(Deno.args[0] ?? `${ROOT}dist/haproxy-grpc-agent`);
Deno.chdir(ROOT);
const architecture = await architectureOf(executable);
const version = Deno.env.get("PACKAGE_VERSION") ?? project.version;
const maintainer = Deno.env.get("PACKAGE_MAINTAINER") ??
  "haproxy-grpc-agent maintainers <maintainers@haproxy-grpc-agent.example>";
const seconds = Deno.env.get("SOURCE_DATE_EPOCH") ?? await lastCommitSeconds();
const files = await packageFiles({ version, maintainer, date: new Date(Number(seconds) * 1000) });

await Deno.remove(STAGE, { recursive: true }).catch(() => {});
await Deno.mkdir(STAGE, { recursive: true });
for (const [name, text] of files) {
  if (/\.8$|^changelog|^third-party/.test(name)) {
    await Deno.writeFile(`${STAGE}/${name}.gz`, gzipSync(text, { level: 9 }));
  } else await Deno.writeTextFile(`${STAGE}/${name}`, text);
}
await Deno.mkdir(OUTPUT, { recursive: true });
for (const packager of ["deb", "rpm"]) {
  const config = `${STAGE}/nfpm.${packager}.yaml`;
  await Deno.writeTextFile(config, await nfpmConfig(packager));
  const said = await runProgram(
    Deno.env.get("NFPM") ?? "nfpm",
    "tools/package.ts says how to have it",
    {
      args: ["package", "--config", config, "--packager", packager, "--target", OUTPUT],
      env: {
        PACKAGE_ARCHITECTURE: architecture,
        PACKAGE_EXECUTABLE: executable,
        PACKAGE_MAINTAINER: maintainer,
        PACKAGE_VERSION: version,
        SOURCE_DATE_EPOCH: seconds,
      },
    },
  ).catch(fail);
  console.log(said.trimEnd());
}

async function nfpmConfig(packager: string): Promise<string> {
  const text = await Deno.readTextFile("deploy/packages/nfpm.yaml");
  // 1.1 is nfpm's YAML, in which 0644 is octal.
  const config: NfpmConfig = parse(text, { version: "1.1" });
  config.deb.compression = config.rpm.compression = Deno.env.get("PACKAGE_COMPRESSION") ?? "xz";
  for (const content of config.contents) {
    if (packager === "deb" && content.type === "doc") delete content.type;
  }
  return stringify(config);
}

/** So a package cannot be labelled for another processor than its executable is for. */
async function architectureOf(path: string): Promise<string> {
  const header = new Uint8Array(20);
  try {
    using file = await Deno.open(path);
    await file.read(header);
  } catch {
    fail(`There is no executable at ${path}: deno task compile`);
  }
  const machine = new DataView(header.buffer).getUint16(18, true);
  const isElf = new TextDecoder("latin1").decode(header.subarray(0, 4)) === "\x7fELF";
  return (isElf && ARCHITECTURES[machine]) || fail(`${path} is no executable for amd64 or arm64`);
}

async function lastCommitSeconds(): Promise<string> {
  const args = ["log", "-1", "--format=%ct"];
  const seconds = await runProgram("git", "install it, or set SOURCE_DATE_EPOCH", { args })
    .catch(fail);
  return seconds.trim() || fail("No commit: set SOURCE_DATE_EPOCH");
}

function fail(reason: unknown): never {
  console.error(reason instanceof Error ? reason.message : reason);
  Deno.exit(1);
}
