/**
 * Prints what the release of a tag says of itself: `deno task release-notes v1.2.3`. It fails where tag,
 * deno.json and CHANGELOG.md do not say the same version.
 */

import project from "../../deno.json" with { type: "json" };
import { releaseNotes } from "./changelog.ts";

const CHANGELOG = new URL("../../CHANGELOG.md", import.meta.url);
const VERIFY = `
To see that a file is what was built here, see [SECURITY.md](SECURITY.md#verify-a-download).`;

const [tag = ""] = Deno.args;
try {
  if (tag !== `v${project.version}`) {
    throw new Error(`The tag ${tag} is not v${project.version}, the version of deno.json`);
  }
  console.log(releaseNotes(await Deno.readTextFile(CHANGELOG), project.version) + "\n" + VERIFY);
} catch (error) {
  console.error((error as Error).message);
  Deno.exit(1);
}
