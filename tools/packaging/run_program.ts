/**
 * Runs a program to its end.
 *
 * @param install what to do where there is no such program
 * @returns what it wrote to standard output
 * @throws {Error} with `install`, or with what it said when it failed
 */
export async function runProgram(
  program: string,
  install: string,
  options: Deno.CommandOptions,
): Promise<string> {
  const decoder = new TextDecoder();
  const run = async () => await new Deno.Command(program, options).output();
  const { success, stdout, stderr } = await run().catch((error) => {
    throw error instanceof Deno.errors.NotFound
      ? new Error(`${program} is missing: ${install}`)
      : error;
  });
  if (!success) throw new Error(`${program}: ${decoder.decode(stderr).trim()}`);
  return decoder.decode(stdout);
}
