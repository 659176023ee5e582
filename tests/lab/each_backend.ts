import { startGoBackend, testWithGo } from "./go_backend.ts";
import {
  type HealthBackend,
  type HealthBackendOptions,
  startHealthBackend,
} from "./health_backend.ts";
import { startPythonBackend, testWithPython } from "./python_backend.ts";

/** Starts a backend on one of gRPC's implementations. */
export type StartBackend = (options?: HealthBackendOptions) => Promise<HealthBackend>;

/**
 * A test that is run with each of gRPC's implementations that the lab has.
 *
 * @param nameOf makes the test's name of "grpc-js", "C core" or "Go"
 */
export function testWithEachBackend(
  nameOf: (implementation: string) => string,
  test: (start: StartBackend, t: Deno.TestContext) => Promise<void>,
): void {
  Deno.test(nameOf("grpc-js"), (t) => test(startHealthBackend, t));
  testWithPython(nameOf("C core"), (t) => test(startPythonBackend, t));
  testWithGo(nameOf("Go"), (t) => test(startGoBackend, t));
}
