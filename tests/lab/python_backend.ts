import { HealthBackend, type HealthBackendOptions } from "./health_backend.ts";
import { ROOT } from "./lab_process.ts";

/** Debian's Python: the one that its package python3-grpcio serves. */
const PYTHON = "/usr/bin/python3";

/** Starts a backend on gRPC's C core. */
export async function startPythonBackend(
  options: HealthBackendOptions = {},
): Promise<HealthBackend> {
  return await new HealthBackend([PYTHON, `${ROOT}tests/lab/python_backend.py`], options).start();
}

/**
 * A test that needs a Python backend. Where its library is missing it is ignored, with the reason
 * printed; in CI (environment variable CI) it fails, so that a gap is not taken for success.
 */
export function testWithPython(
  name: string,
  test: (t: Deno.TestContext) => Promise<void>,
): void {
  const missing = pythonProblem();
  const ignore = missing !== undefined && !Deno.env.has("CI");
  if (ignore) console.warn(`Ignored: "${name}": ${missing}`);
  Deno.test({
    name,
    ignore,
    fn: async (t) => {
      if (missing !== undefined) throw new Error(missing);
      await test(t);
    },
  });
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
