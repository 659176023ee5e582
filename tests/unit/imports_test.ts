import assert from "node:assert/strict";
import { dirname, join, normalize } from "node:path";
import { ROOT } from "../lab/testing/repository.ts";
import { repositoryFiles } from "../lab/testing/repository.ts";

/** Static and dynamic imports of files beside; types count too. */
const IMPORT = /\b(?:from|import\()\s*"(\.[^"]+)"/g;

/** A row of the table of folders: its name, what it holds, and the folders that it imports. */
const ROW = /^\| `(\w+)` +\|[^|]*\| ([^|]*)\|$/gm;

/** By the path of each file in src, those that it imports. */
const FILES: ReadonlyMap<string, readonly string[]> = new Map(
  repositoryFiles((path) => path.startsWith("src/") && path.endsWith(".ts"))
    .map((path) => [path, importsOf(path)]),
);

/** By folder, the folders that it imports, as docs/architecture.md has them; from the top down. */
const TABLE: ReadonlyMap<string, readonly string[]> = new Map(
  Array.from(
    Deno.readTextFileSync(join(ROOT, "docs/architecture.md")).matchAll(ROW),
    ([, folder = "", imported = ""]) => [folder, namesIn(imported)],
  ),
);

function importsOf(path: string): string[] {
  const code = Deno.readTextFileSync(join(ROOT, path)).replace(/^ *\/?\*.*$/gm, "");
  return Array.from(code.matchAll(IMPORT), ([, to = ""]) => normalize(join(dirname(path), to)))
    .filter((imported) => imported.startsWith("src/"));
}

function namesIn(cell: string): string[] {
  return Array.from(cell.matchAll(/`(\w+)`/g), ([, name = ""]) => name);
}

/** @returns the folder of a file in src; `undefined` for a file in src itself */
function folderOf(path: string): string | undefined {
  const [, folder, file] = path.split("/");
  return file === undefined ? undefined : folder;
}

/** @returns the folders that the files of a folder import, other than itself, in the order of the table */
function foldersImportedBy(folder: string): string[] {
  const imported = [...FILES].filter(([path]) => folderOf(path) === folder)
    .flatMap(([, paths]) => paths.flatMap((path) => folderOf(path) ?? []));
  return [...TABLE.keys()].filter((name) => name !== folder && imported.includes(name));
}

Deno.test("Every folder of src has a row in the table of docs/architecture.md, and each row its folder", () => {
  const folders = new Set([...FILES.keys()].flatMap((path) => folderOf(path) ?? []));
  assert.deepEqual([...folders].sort(), [...TABLE.keys()].sort());
});

for (const [folder, imported] of TABLE) {
  Deno.test(`src/${folder} imports the folders that the table names, all of them below it`, () => {
    const names = [...TABLE.keys()];
    const below = names.slice(names.indexOf(folder) + 1);
    assert.deepEqual(imported.filter((name) => !below.includes(name)), []);
    assert.deepEqual(foldersImportedBy(folder), imported);
  });
}

Deno.test("What checks, and what lies below it, knows nothing of log, metrics and status", () => {
  const names = [...TABLE.keys()];
  for (const folder of ["grpc_js", ...names.slice(names.indexOf("check"))]) {
    const known = foldersImportedBy(folder);
    assert.deepEqual(known.filter((name) => /^(log|metrics|status|http)$/.test(name)), [], folder);
  }
});

Deno.test("What every folder may import, deadline.ts and the like, imports no folder", () => {
  for (const [path, imported] of FILES) {
    const folder = folderOf(path);
    if (folder === undefined || folder === "commands") continue;
    for (const shared of imported.filter((path) => folderOf(path) === undefined)) {
      assert.deepEqual(FILES.get(shared)?.flatMap((path) => folderOf(path) ?? []), [], shared);
    }
  }
});

Deno.test("No file imports itself by way of others", () => {
  const done = new Set<string>();
  const follow = (path: string, way: readonly string[]) => {
    assert.ok(!way.includes(path), [...way.slice(way.indexOf(path)), path].join(" imports "));
    if (done.has(path)) return;
    for (const imported of FILES.get(path) ?? []) follow(imported, [...way, path]);
    done.add(path);
  };
  for (const path of FILES.keys()) follow(path, []);
});
