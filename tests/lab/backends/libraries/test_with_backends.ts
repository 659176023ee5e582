import { startGoBackend, testWithGo } from "./go_backend.ts";
import {
  type HealthBackend,
  type HealthBackendOptions,
  startHealthBackend,
} from "./health_backend.ts";
import { startPythonBackend, testWithPython } from "./python_backend.ts";

/** Starts a backend, of whichever library. */
export type StartBackend = (options?: HealthBackendOptions) => Promise<HealthBackend>;

/** Runs a test against a backend on grpc-js, against one on gRPC's C core, and against one on grpc-go. */
export function testWithBackends(
  name: string,
  test: (start: StartBackend, t: Deno.TestContext) => Promise<void>,
): void {
  Deno.test(`${name} (grpc-js)`, (t) => test(startHealthBackend, t));
  testWithPython(`${name} (C core)`, (t) => test(startPythonBackend, t));
  testWithGo(`${name} (Go)`, (t) => test(startGoBackend, t));
}
