import { ROOT } from "./repository.ts";
import { type Need, succeeds } from "./test_that_needs.ts";

/** Prometheus' own judge of metrics and rules. */
export const PROMTOOL: Need = {
  missing: succeeds("promtool", "--version")
    ? undefined
    : "promtool is missing: install Debian's prometheus",
};

/**
 * Runs promtool in the repository's root.
 *
 * @param input goes to its standard input
 * @returns whether it found nothing, and what it said
 */
export async function promtool(
  args: string[],
  input = "",
): Promise<{ ok: boolean; output: string }> {
  const options = { args, cwd: ROOT, stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command("promtool", options).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { ok: success, output: text(stdout) + text(stderr) };
}
