import assert from "node:assert/strict";
import { codeOf, reasonOf } from "../../src/describe_error.ts";

const rows: readonly [what: string, thrown: unknown, code: string][] = [
  ["an errno that Deno or Node names", Object.assign(new Error(), { code: "EMFILE" }), "EMFILE"],
  [
    "ENFILE of a socket, which Deno does not name",
    new Error("Too many open files in system (os error 23)"),
    "ENFILE",
  ],
  [
    "ENFILE of a file",
    new Error("Too many open files in system (os error 23): open '/dev/null'"),
    "ENFILE",
  ],
  ["another errno without a name", new Error("Host is down (os error 112)"), ""],
  ["an error that is none of the system's", new Error("aborted"), ""],
  ["what is no error", "aborted", ""],
  ["nothing", undefined, ""],
];

for (const [what, thrown, code] of rows) {
  Deno.test(`codeOf() gives ${code || "nothing"} for ${what}`, () => {
    assert.equal(codeOf(thrown), code);
  });
}

for (
  const [message, reason] of [
    [
      'Requires read access to "/etc/shadow", run again with the --allow-read flag',
      'Deno\'s permissions do not allow it: it takes read access to "/etc/shadow"',
    ],
    [
      'Requires all access to "/dev/stdin", specify the required permissions during compilation ' +
      "using `deno compile --allow-all`",
      "Deno's permissions allow no file of /dev, /proc and /sys",
    ],
    ["Something else", "Something else"],
  ] as const
) {
  Deno.test(`reasonOf() gives of a permission that is missing "${reason}"`, () => {
    assert.equal(reasonOf(new Deno.errors.NotCapable(message)), reason);
  });
}
