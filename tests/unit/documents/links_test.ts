import assert from "node:assert/strict";
import { dirname, join } from "node:path/posix";
import { ROOT } from "../../lab/testing/repository.ts";
import { repositoryFiles } from "../../lab/testing/repository.ts";

// What the documents point to: files and headings by links, files of the project by their paths in
// backquotes. Whether an address on the web answers is not asked.

const FILES = repositoryFiles(() => true);

const DOCUMENTS = FILES.filter((path) => path.endsWith(".md"));

/** A link or an image: `[text](target)`, with an image as its text perhaps. */
const LINK = /\]\(([^()\s]+)\)/g;

/** A path from the root of the project, or the name of a source file. */
const PATH = /`((?:src|tests|tools|docs|deploy|proto)\/[\w./-]+|[\w-]+\.ts)`/g;

function read(path: string): string {
  return Deno.readTextFileSync(ROOT + path);
}

/** The text without blocks of code, which hold what only looks like links and headings. */
function prose(path: string): string {
  return read(path).replaceAll(/^ *```[^]*?^ *```$/gm, "");
}

/** What GitHub makes of a document's headings. */
function anchors(path: string): string[] {
  const seen = new Map<string, number>();
  return [...prose(path).matchAll(/^#+ +(.*)$/gm)].map(([, heading = ""]) => {
    const anchor = heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-");
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
}

function isThere(path: string): boolean {
  return FILES.includes(path) ||
    FILES.some((file) => file.startsWith(`${path.replace(/\/$/, "")}/`));
}

for (const document of DOCUMENTS) {
  Deno.test(`the links of ${document} lead somewhere`, () => {
    const text = prose(document).replaceAll(/`[^`\n]*`/g, "code");
    for (const [, target = ""] of text.matchAll(LINK)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? document : join(dirname(document), path);
      assert.ok(isThere(file), `${target}: there is no ${file}`);
      if (anchor !== undefined) {
        assert.ok(anchors(file).includes(anchor), `${target}: no such heading in ${file}`);
      }
    }
  });

  // It tells of the past.
  if (document === "CHANGELOG.md") continue;

  Deno.test(`the files that ${document} names are there`, () => {
    for (const [, path = ""] of read(document).matchAll(PATH)) {
      const found = isThere(path) || !path.includes("/") &&
          FILES.some((file) => file.startsWith("src/") && file.endsWith(`/${path}`));
      assert.ok(found, path);
    }
  });
}
