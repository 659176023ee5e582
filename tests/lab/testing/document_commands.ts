import { ROOT } from "../machine/lab_process.ts";

/**
 * Gives the commands of a document, so that a test can run what readers are told to run.
 *
 * @param path of the document, from the root
 * @returns by heading the blocks of shell commands under it, up to the next heading of any depth
 */
export function documentCommands(path: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  let heading = "";
  for (
    const [, newHeading, commands] of Deno.readTextFileSync(ROOT + path)
      .matchAll(/^#+ (.*)$|^```sh\n([^]*?)^```$|^```\w*\n[^]*?^```$/gm)
  ) {
    if (newHeading !== undefined) heading = newHeading;
    if (commands !== undefined) found.set(heading, [...found.get(heading) ?? [], commands]);
  }
  return found;
}
