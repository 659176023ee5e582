import { startHealthBackend } from "../../tests/lab/health_backend.ts";
import { LabProcess, ROOT } from "../../tests/lab/lab_process.ts";
import { runArguments } from "../packaging/run_arguments.ts";
import { median } from "../soak/durations.ts";
import type { Effort } from "./rounds.ts";

/** grpc-js by itself on a kept connection. Medians of the rounds. */
export interface GrpcFloor {
  readonly atOnce: number;
  readonly checksPerSecond: number;
  /** Microseconds a check. */
  readonly cpuUs: number;
}

/** Measures the health client that the agent uses, without the agent, under the agent's flags. */
export async function measureGrpcFloor({ seconds, rounds }: Effort): Promise<GrpcFloor[]> {
  await using backend = await startHealthBackend();
  const bundle = `${ROOT}dist/bench/grpc_alone.mjs`;
  await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--minify", "-o", bundle, "tools/bench/grpc_alone.ts"],
    cwd: ROOT,
  }).output();
  const floors: GrpcFloor[] = [];
  for (const atOnce of [1, 16, 64]) {
    const results: Omit<GrpcFloor, "atOnce">[] = [];
    for (let round = 0; round < rounds; round++) {
      await using client = new LabProcess(Deno.execPath(), {
        args: [...runArguments(), bundle, `${backend.port}`, `${atOnce}`, `${seconds}`],
      });
      await client.exited;
      results.push(JSON.parse(client.stdout.lines[0] ?? ""));
    }
    floors.push({
      atOnce,
      checksPerSecond: median(results.map(({ checksPerSecond }) => checksPerSecond)),
      cpuUs: median(results.map(({ cpuUs }) => cpuUs)),
    });
  }
  return floors;
}
