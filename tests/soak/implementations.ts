import {
  type HealthBackend,
  type HealthBackendOptions,
  startHealthBackend,
} from "../lab/backends/libraries/health_backend.ts";
import {
  goProblem,
  pythonProblem,
  startGoBackend,
  startPythonBackend,
} from "../lab/backends/libraries/library_backends.ts";

/** A gRPC library with a health server of its own process. */
export interface Implementation {
  readonly name: string;
  readonly start: (options: HealthBackendOptions) => Promise<HealthBackend>;
  /** Why it cannot run here; undefined when it can. */
  readonly missing: () => string | undefined;
}

/** Every implementation whose processes the soak starts, kills and freezes. Another one is a line here. */
export const IMPLEMENTATIONS: readonly Implementation[] = [
  { name: "grpc-js", start: startHealthBackend, missing: () => undefined },
  { name: "c-core", start: startPythonBackend, missing: pythonProblem },
  { name: "go", start: startGoBackend, missing: goProblem },
];
