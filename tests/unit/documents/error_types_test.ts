import assert from "node:assert/strict";
import { ERROR_TYPES } from "../../../src/protocol/verdict.ts";
import { ROOT } from "../../lab/testing/repository.ts";

function read(path: string): string {
  return Deno.readTextFileSync(ROOT + path);
}

/** What stands in backquotes. */
function codes(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
}

/** The cells of the rows of a table. */
function rows(text: string): string[][] {
  return text.split("\n").filter((line) => line.startsWith("|"))
    .map((line) => line.slice(1, -1).split("|"));
}

// What docs/operations.md has of them, tests/integration/monitoring_test.ts looks at.

const ALL = [...ERROR_TYPES].sort();

Deno.test("docs/moving-from-rust.md names every error type of this agent, and no other", () => {
  const row = rows(read("docs/moving-from-rust.md"))
    .find(([, rust = ""]) => rust.includes("`error_type`"));
  assert.deepEqual(codes(row?.[2] ?? "").sort(), ALL);
});

Deno.test("README.md says of every error type what it means", () => {
  const [, table = ""] = read("README.md").split("| `error_type`");
  const [end = ""] = table.split("\n\n");
  assert.deepEqual(rows(end).flatMap(([first = ""]) => codes(first)).sort(), ALL);
});

Deno.test("docs/protocol-spec.md says of every error type what is replied", () => {
  const [, chapter = ""] = read("docs/protocol-spec.md").split("\n## Reply\n");
  const [, ...replies] = rows(chapter);
  assert.deepEqual(replies.flatMap(([, , type = ""]) => codes(type)).sort(), ALL);
});
