import project from "../../../deno.json" with { type: "json" };
import { ROOT } from "../testing/repository.ts";

/** What a soak ran with and on. */
export interface Surroundings {
  /** The commit, with a mark when files differ from it. */
  readonly agent: string;
  readonly deno: string;
  readonly grpcJs: string;
  /** Of the C core's Python package; undefined without it. */
  readonly grpcio: string | undefined;
  /** Of Debian's package; undefined without it. */
  readonly grpcGo: string | undefined;
  /** Major and minor version. */
  readonly kernel: string;
  readonly processors: string;
  readonly memoryGb: number;
}

/** Looks at this machine and this checkout. */
export function surroundings(): Surroundings {
  const cpuInfo = Deno.readTextFileSync("/proc/cpuinfo");
  const [, model = "unknown"] = /^model name\s*: (.*)$/m.exec(cpuInfo) ?? [];
  return {
    agent: output("git", "-C", ROOT, "describe", "--always", "--dirty") ?? "unknown",
    deno: Deno.version.deno,
    grpcJs: project.imports["@grpc/grpc-js"].split("@").at(-1) ?? "",
    grpcio: output("/usr/bin/python3", "-c", "import grpc; print(grpc.__version__)"),
    grpcGo: output("dpkg-query", "-W", "-f", "${Version}", "golang-google-grpc-dev"),
    kernel: Deno.osRelease().split(".").slice(0, 2).join("."),
    processors: `${navigator.hardwareConcurrency} x ${model.trim()}`,
    memoryGb: Math.round(Deno.systemMemoryInfo().total / 2 ** 30),
  };
}

/** What a program says; undefined when there is none, or it fails. */
function output(program: string, ...args: string[]): string | undefined {
  try {
    const { success, stdout } = new Deno.Command(program, { args, stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch {
    return undefined;
  }
}
