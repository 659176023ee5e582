import { ROOT } from "../../machine/lab_process.ts";
import { testThatNeeds } from "../../testing/test_that_needs.ts";
import { buildOnce, type Built } from "./build_once.ts";
import { HealthBackend, type HealthBackendOptions } from "./health_backend.ts";

/** Starts sooner than Java does by default, at the price of speed that no test needs. */
const JVM_FLAGS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"];

/**
 * Starts a backend on grpc-java over netty. Options that only others know are ignored.
 *
 * @throws {Error} when it cannot be built here; see {@linkcode testWithJava}
 */
export async function startJavaBackend(options: HealthBackendOptions = {}): Promise<HealthBackend> {
  const { folder, missing } = await build();
  if (missing !== undefined) throw new Error(missing);
  const classPath = `${folder}/classes:${folder}/lib/*`;
  const command = ["java", ...JVM_FLAGS, "-cp", classPath, "JavaBackend"];
  return await new HealthBackend(command, options).start();
}

/** A test that needs a Java backend; see {@linkcode testThatNeeds}. Builds it where it is not yet. */
export async function testWithJava(
  name: string,
  test: (t: Deno.TestContext) => Promise<void>,
): Promise<void> {
  testThatNeeds({ missing: (await build()).missing }, name, test);
}

let built: Promise<Built> | undefined;

function build(): Promise<Built> {
  return built ??= buildOnce({
    name: "java-backend",
    sources: `${ROOT}tests/lab/backends/libraries/java_backend`,
    tools: [["javac", "-version"], ["mvn", "--version"]],
    install: "Java or Maven is missing (Debian packages default-jdk-headless, maven)",
    commands: [
      ["mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=lib"],
      ["javac", "-cp", "lib/*", "-d", "classes", "JavaBackend.java"],
    ],
  });
}
