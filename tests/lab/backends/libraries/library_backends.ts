// Health servers on gRPC's libraries. All take the options and commands of health_backend.ts; an option that a
// library does not have is ignored.

import { existsSync } from "node:fs";
import { ROOT } from "../../testing/repository.ts";
import { succeeds, testThatNeeds } from "../../testing/test_that_needs.ts";
import { BuiltProgram } from "./built_program.ts";
import { HealthBackend, type HealthBackendOptions, startHealthBackend } from "./health_backend.ts";

/** Where this folder is. */
const HERE = `${ROOT}tests/lab/backends/libraries`;

/** Starts a backend, of whichever library. */
export type StartBackend = (options?: HealthBackendOptions) => Promise<HealthBackend>;

/** Runs the body of a test. */
type TestBody = (t: Deno.TestContext) => Promise<void>;

/** Debian's Python: the one that its package python3-grpcio serves. */
const PYTHON = "/usr/bin/python3";

/** Starts a backend on gRPC's C core. */
export async function startPythonBackend(
  options: HealthBackendOptions = {},
): Promise<HealthBackend> {
  return await new HealthBackend([PYTHON, `${HERE}/python_backend.py`], options).start();
}

let pythonMissing: string | undefined | null = null;

/** Why no Python backend can run here; undefined when one can. */
export function pythonProblem(): string | undefined {
  if (pythonMissing === null) {
    pythonMissing = succeeds(PYTHON, "-c", "import grpc")
      ? undefined
      : "Python or its grpc is missing (Debian package python3-grpcio)";
  }
  return pythonMissing;
}

/** A test that needs a Python backend; see {@linkcode testThatNeeds}. */
export function testWithPython(name: string, test: TestBody): void {
  testThatNeeds({ missing: pythonProblem() }, name, test);
}

/** Where Debian's packages of Go libraries are: no network is needed, and no module file. */
const GO_PATH = "/usr/share/gocode";

const GO = new BuiltProgram({
  name: "go-backend",
  sources: `${HERE}/go_backend`,
  tools: [["go", "version"]],
  install: "Go is missing (Debian package golang-go)",
  commands: [[
    ...["env", "GO111MODULE=off", `GOPATH=${GO_PATH}`],
    ...["go", "build", "-o", "go-backend", "main.go"],
  ]],
});

/** Starts a backend on grpc-go. */
export async function startGoBackend(options: HealthBackendOptions = {}): Promise<HealthBackend> {
  return await new HealthBackend([`${await GO.folder()}/go-backend`], options).start();
}

/** Why no Go backend can run here; undefined when one can. */
export function goProblem(): string | undefined {
  return existsSync(`${GO_PATH}/src/google.golang.org/grpc`) && succeeds("go", "version")
    ? undefined
    : "Go or its gRPC is missing (Debian packages golang-go, golang-google-grpc-dev)";
}

/** A test that needs a Go backend; see {@linkcode testThatNeeds}. */
export function testWithGo(name: string, test: TestBody): void {
  testThatNeeds({ missing: goProblem() }, name, test);
}

const JAVA = new BuiltProgram({
  name: "java-backend",
  sources: `${HERE}/java_backend`,
  tools: [["javac", "-version"], ["mvn", "--version"]],
  install: "Java or Maven is missing (Debian packages default-jdk-headless, maven)",
  commands: [
    ["mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=lib"],
    ["javac", "-cp", "lib/*", "-d", "classes", "JavaBackend.java"],
  ],
});

/** Starts sooner than Java does by default, at the price of speed that no test needs. */
const JVM_FLAGS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"];

/** Starts a backend on grpc-java over netty. */
export async function startJavaBackend(options: HealthBackendOptions = {}): Promise<HealthBackend> {
  const folder = await JAVA.folder();
  const classPath = `${folder}/classes:${folder}/lib/*`;
  const command = ["java", ...JVM_FLAGS, "-cp", classPath, "JavaBackend"];
  return await new HealthBackend(command, options).start();
}

/** A test that needs a Java backend; see {@linkcode testThatNeeds}. Builds it where it is not yet. */
export async function testWithJava(name: string, test: TestBody): Promise<void> {
  testThatNeeds({ missing: await JAVA.missing() }, name, test);
}

const RUST = new BuiltProgram({
  name: "rust-backend",
  sources: `${HERE}/rust_backend`,
  tools: [["cargo", "--version"]],
  install: "Rust is missing (Debian package cargo, 1.85 or later)",
  commands: [
    ["cargo", "build", "--release", "--locked", "--quiet"],
    ["mv", "target/release/rust-backend", "."],
    // The rest of what cargo makes is a hundred times as large as the program.
    ["rm", "-r", "target"],
  ],
});

/** Starts a backend on tonic; it tells no authority. */
export async function startRustBackend(options: HealthBackendOptions = {}): Promise<HealthBackend> {
  return await new HealthBackend([`${await RUST.folder()}/rust-backend`], options).start();
}

/** A test that needs a Rust backend; see {@linkcode testThatNeeds}. Builds it where it is not yet. */
export async function testWithRust(name: string, test: TestBody): Promise<void> {
  testThatNeeds({ missing: await RUST.missing() }, name, test);
}

/** A gRPC library whose servers need no registry: Debian has what they are built of. */
export interface Library {
  readonly name: string;
  readonly start: StartBackend;
  /** Why its backend cannot run here; undefined when it can. */
  readonly problem: () => string | undefined;
}

/** The libraries that most tests are run against. */
export const LIBRARIES: readonly Library[] = [
  { name: "grpc-js", start: startHealthBackend, problem: () => undefined },
  { name: "C core", start: startPythonBackend, problem: pythonProblem },
  { name: "Go", start: startGoBackend, problem: goProblem },
];

/** Runs a test once against a backend of each of {@linkcode LIBRARIES}. */
export function testWithBackends(
  name: string,
  test: (start: StartBackend, t: Deno.TestContext) => Promise<void>,
): void {
  for (const library of LIBRARIES) {
    const { start, problem } = library;
    testThatNeeds({ missing: problem() }, `${name} (${library.name})`, (t) => test(start, t));
  }
}
