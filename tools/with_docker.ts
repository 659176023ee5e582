// Runs `deno` with the arguments given, beside a Docker engine that all of the tests share.

import {
  DockerEngine,
  dockerProblem,
  TEST_LABEL,
} from "../tests/lab/machine/docker/docker_engine.ts";

async function run(env: Record<string, string>): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), { args: Deno.args, env }).spawn();
  return (await child.status).code;
}

async function main(): Promise<number> {
  // Ctrl-C reaches the tests as well; what is left to do here is to end the engine after them.
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => {});
  // The tests say what is missing.
  if (dockerProblem() !== undefined) return await run({});
  await using engine = await DockerEngine.find();
  try {
    return await run(engine.env);
  } finally {
    // On an engine that stays, the tests' images would stay too.
    const filter = ["image", "ls", "--quiet", "--filter", `label=${TEST_LABEL}`];
    const images = new Set((await engine.docker(filter)).split("\n").filter((id) => id !== ""));
    if (images.size > 0) await engine.try(["image", "rm", "--force", ...images]);
  }
}

if (import.meta.main) Deno.exit(await main());
