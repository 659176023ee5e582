import { ROOT } from "../../machine/lab_process.ts";
import { testThatNeeds } from "../../testing/test_that_needs.ts";
import { HealthBackend, type HealthBackendOptions } from "./health_backend.ts";

/** Debian's Python: the one that its package python3-grpcio serves. */
const PYTHON = "/usr/bin/python3";

/** Starts a backend on gRPC's C core. */
export async function startPythonBackend(
  options: HealthBackendOptions = {},
): Promise<HealthBackend> {
  return await new HealthBackend(
    [PYTHON, `${ROOT}tests/lab/backends/libraries/python_backend.py`],
    options,
  ).start();
}

/** A test that needs a Python backend; see {@linkcode testThatNeeds}. */
export function testWithPython(name: string, test: (t: Deno.TestContext) => Promise<void>): void {
  testThatNeeds({ missing: pythonProblem() }, name, test);
}

let problem: string | undefined | null = null;

/** Why no Python backend can run here; undefined when one can. */
export function pythonProblem(): string | undefined {
  if (problem === null) problem = findProblem();
  return problem;
}

function findProblem(): string | undefined {
  try {
    const { success } = new Deno.Command(PYTHON, { args: ["-c", "import grpc"] }).outputSync();
    return success ? undefined : "Python's grpc is missing (Debian package python3-grpcio)";
  } catch {
    return `${PYTHON} is missing`;
  }
}
