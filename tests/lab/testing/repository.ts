/** The root of the repository, with a slash at its end. */
export const ROOT = new URL("../../../", import.meta.url).pathname;

/** Folders that are made, not written. */
const MADE = new Set([".git", "dist", "coverage", ".cache", "node_modules"]);

/**
 * Lists the repository's files.
 *
 * @param wanted says of a path whether it counts
 * @returns their paths from the root, in order
 */
export function repositoryFiles(wanted: (path: string) => boolean): string[] {
  const found: string[] = [];
  const look = (folder: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(ROOT + folder)) {
      if (MADE.has(name)) continue;
      if (isDirectory) look(`${folder}${name}/`);
      else if (wanted(folder + name)) found.push(folder + name);
    }
  };
  look("");
  return found.toSorted();
}

/**
 * Gives the files that a document has its readers write: each code block under a line of a name and a colon.
 *
 * @param path of the document, from the root
 * @returns their text by name
 */
export function documentFiles(path: string): ReadonlyMap<string, string> {
  const found = Deno.readTextFileSync(ROOT + path)
    .matchAll(/^`(\S+)`:\n\n```\w+\n([^]*?)^```$/gm);
  return new Map(Array.from(found, ([, name = "", text = ""]) => [name, text]));
}

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
