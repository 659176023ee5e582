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
  test: (start: StartBackend) => Promise<void>,
): void {
  Deno.test(`${name} (grpc-js)`, () => test(startHealthBackend));
  testWithPython(`${name} (C core)`, () => test(startPythonBackend));
  testWithGo(`${name} (Go)`, () => test(startGoBackend));
}
