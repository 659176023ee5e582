import { ROOT } from "../../machine/lab_process.ts";
import { testThatNeeds } from "../../testing/test_that_needs.ts";
import { HealthBackend, type HealthBackendOptions } from "./health_backend.ts";

const SOURCE = `${ROOT}tests/lab/backends/libraries/go_backend/main.go`;

/** Where Debian's packages of Go libraries are: no network is needed, and no module file. */
const GO_ENV = { GO111MODULE: "off", GOPATH: "/usr/share/gocode" };
const LIBRARY = "/usr/share/gocode/src/google.golang.org/grpc";

/** Starts a backend on grpc-go. */
export async function startGoBackend(options: HealthBackendOptions = {}): Promise<HealthBackend> {
  return await new HealthBackend([await build()], options).start();
}

/** A test that needs a Go backend; see {@linkcode testThatNeeds}. */
export function testWithGo(name: string, test: (t: Deno.TestContext) => Promise<void>): void {
  testThatNeeds({ missing: goProblem() }, name, test);
}

/** Why no Go backend can run here; undefined when one can. */
export function goProblem(): string | undefined {
  try {
    new Deno.Command("go", { args: ["version"] }).outputSync();
    Deno.statSync(LIBRARY);
    return undefined;
  } catch {
    return "Go or its gRPC is missing (Debian packages golang-go, golang-google-grpc-dev)";
  }
}

let built: Promise<string> | undefined;

/** Builds the program once for each text of its source, beside what else the tests have fetched. */
function build(): Promise<string> {
  built ??= (async () => {
    const source = await Deno.readFile(SOURCE);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", source)).toHex();
    const home = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`;
    const folder = `${home}/haproxy-grpc-agent`;
    const program = `${folder}/go-backend-${hash.slice(0, 16)}`;
    try {
      await Deno.stat(program);
      return program;
    } catch {
      // Not built yet.
    }
    await Deno.mkdir(folder, { recursive: true });
    const fresh = `${program}.${Deno.pid}`;
    const { success, stderr } = await new Deno.Command("go", {
      args: ["build", "-o", fresh, SOURCE],
      env: GO_ENV,
    }).output();
    if (!success) throw new Error(`go build: ${new TextDecoder().decode(stderr)}`);
    await Deno.rename(fresh, program);
    return program;
  })();
  return built;
}
