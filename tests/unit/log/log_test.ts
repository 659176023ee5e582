import assert from "node:assert/strict";
import { setUpLogging, ThrottledWarnings } from "../../../src/log/log.ts";

function logsInto(lines: string[], options: { format: "json" | "pretty"; level?: "warn" }) {
  return setUpLogging({
    level: options.level ?? "trace",
    levels: new Map(),
    format: options.format,
    colour: false,
    write: (line) => lines.push(line),
  });
}

Deno.test("A JSON log line keeps what came from the wire inside its field", () => {
  const lines: string[] = [];
  logsInto(lines, { format: "json" }).protocol.warn("Invalid line", {
    line: 'a"\n{"level":"x"}\x1b',
  });
  assert.equal(lines.length, 1);
  const [line = ""] = lines;
  assert.equal(line.indexOf("\n"), line.length - 1);
  assert.ok(!line.includes("\x1b"));
  const { timestamp, ...rest } = JSON.parse(line);
  assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(rest, {
    level: "warn",
    component: "protocol",
    message: "Invalid line",
    line: 'a"\n{"level":"x"}\x1b',
  });
});

Deno.test("A pretty log line keeps what came from the wire on its line and out of the terminal", () => {
  const lines: string[] = [];
  logsInto(lines, { format: "pretty" }).server.info("Listening", {
    a: "b\n\x1b[31m\x9b",
    c: 1,
    d: "e f",
  });
  const [time, rest] = lines.join("").split(/Z /);
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
  assert.equal(rest, 'info  server   Listening a="b\\n\\u001b[31m\\u009b" c=1 d="e f"\n');
});

Deno.test("Levels below log_level are not logged", () => {
  const lines: string[] = [];
  const logs = logsInto(lines, { format: "json", level: "warn" });
  logs.main.info("no");
  logs.main.warn("yes");
  logs.main.error("yes");
  assert.deepEqual(lines.map((line) => JSON.parse(line).level), ["warn", "error"]);
});

Deno.test("ThrottledWarnings logs ten a second and then how many were left out", async () => {
  const lines: string[] = [];
  let counted = () => {};
  const countLogged = new Promise<void>((resolve) => counted = resolve);
  const logs = setUpLogging({
    level: "info",
    levels: new Map(),
    format: "json",
    colour: false,
    write: (line) => {
      lines.push(line);
      if (line.includes("left out")) counted();
    },
  });
  const warnings = new ThrottledWarnings(logs.protocol);
  for (let i = 0; i < 25; i++) warnings.warn("Invalid line", () => ({ i }));
  assert.equal(lines.length, 10);
  const alive = setInterval(() => {}, 1000); // the window's timer keeps no process alive
  await countLogged;
  clearInterval(alive);
  assert.equal(JSON.parse(lines.at(-1) ?? "").count, 15);
});

Deno.test("A message is logged as it is, braces included", () => {
  const lines: string[] = [];
  const message = 'log_level (from a.toml line 1): "{level} {{x}}" is not one of trace, debug';
  logsInto(lines, { format: "json" }).config.error(message, { level: "no" });
  assert.equal(JSON.parse(lines[0] ?? "").message, message);
});

for (
  const [what, text] of [
    ["a newline", "\n"],
    ["an escape sequence", "\x1b[31m"],
    ["DEL", "\x7f"],
    ["a C1 control", "\x9b31m"],
    ["a mark that turns the direction", "\u202e"],
    ["an isolate", "\u2066"],
    ["a line separator", "\u2028"],
    ["half a surrogate pair", "\ud800"],
  ] as const
) {
  for (const format of ["json", "pretty"] as const) {
    Deno.test(`In a ${format} line ${what} from the wire is encoded`, () => {
      const lines: string[] = [];
      logsInto(lines, { format }).protocol.warn("Invalid line", { line: `a${text}b` });
      const [line = ""] = lines;
      assert.match(line, /^[\x20-\x7e]+\n$/);
      if (format === "json") assert.equal(JSON.parse(line).line, `a${text}b`);
    });
  }
}

Deno.test("A flood of one kind of warning does not hide another", () => {
  const lines: string[] = [];
  const warnings = new ThrottledWarnings(logsInto(lines, { format: "json" }).server);
  let made = 0;
  for (let index = 0; index < 100; index++) {
    warnings.warn("Connection rejected", () => ({ n: ++made }));
  }
  warnings.warn("Connection broken in the middle of a request", () => ({}));
  assert.equal(lines.length, 11);
  assert.equal(made, 10, "Fields of warnings that are left out are not made");
});
