import assert from "node:assert/strict";
import { helpText, readCommandLine } from "../../../src/config/command_line.ts";
import { bool } from "../../../src/config/kinds.ts";
import { type Setting, SETTING_ROWS } from "../../../src/config/settings.ts";

const WRONG: readonly [readonly string[], string][] = [
  [["--server-prt", "1"], "--server-prt: unknown flag (did you mean --server-port?)"],
  [["--frobnicate"], "--frobnicate: unknown flag"],
  [["-x"], "-x: unknown flag"],
  [["extra"], "extra: unexpected argument"],
  [["chek", "a"], "chek: unexpected argument (did you mean check?)"],
  [["redy"], "redy: unexpected argument (did you mean ready?)"],
  [["ready", "now"], "now: unexpected argument"],
  [["--server-port"], "--server-port: a value is missing (a whole number from 1 to 65535)"],
  [["--config"], "--config: a value is missing (a path)"],
  [["--help=yes"], "--help: takes no value"],
  [["--server-port", "1", "--server-port=2"], "--server-port: given more than once"],
  [["--json"], "--json: only with check"],
];

for (const [args, mistake] of WRONG) {
  Deno.test(`readCommandLine() refuses ${args.join(" ")}`, () => {
    assert.equal(readCommandLine(args, SETTING_ROWS).mistakes[0], mistake);
  });
}

Deno.test("readCommandLine() tells all mistakes at once", () => {
  assert.equal(readCommandLine(["--a", "--b", "c"], SETTING_ROWS).mistakes.length, 3);
});

const SWITCH: Setting<boolean> = {
  key: "cache",
  toml: ["cache"],
  env: "CACHE",
  flag: "cache",
  group: "",
  kind: bool,
  default: true,
  help: "",
};

for (
  const [args, value] of [
    [["--cache"], "true"],
    [["--cache", "false"], "false"],
    [["--cache=false"], "false"],
    [["--cache", "--help"], "true"],
  ] as const
) {
  Deno.test(`readCommandLine() reads ${args.join(" ")} as ${value}`, () => {
    const { values, mistakes } = readCommandLine(args, [SWITCH]);
    assert.deepEqual(mistakes, []);
    assert.equal(values.get("cache"), value);
  });
}

Deno.test("readCommandLine() reads the subcommand check, a switch before it included", () => {
  const args = ["--grpc-channel-cache", "check", "--json", "a", "1", "ssl", "b", "service=c"];
  const { action, checkFields, json, mistakes } = readCommandLine(args, SETTING_ROWS);
  assert.deepEqual({ action, checkFields, json, mistakes }, {
    action: "check",
    checkFields: ["a", "1", "ssl", "b", "service=c"],
    json: true,
    mistakes: [],
  });
});

Deno.test("The help names every flag with its default, and fits a terminal", () => {
  const help = helpText();
  for (const { flag } of SETTING_ROWS) assert.ok(help.includes(`--${flag} `), flag);
  for (const line of help.split("\n")) assert.ok(line.length <= 100, line);
});
