import { ROOT } from "../machine/lab_process.ts";

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
