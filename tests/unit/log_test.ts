import assert from "node:assert/strict";
import { setUpLogging } from "../../src/observe/log.ts";
import { LineWriter } from "../../src/observe/line_writer.ts";
import { LogOutput } from "../../src/observe/log_output.ts";
import { ThrottledWarnings } from "../../src/observe/throttled_warnings.ts";

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

Deno.test("LogOutput writes the lines of one turn at once, in order, also when written in pieces", async () => {
  const written: string[] = [];
  const destination = new LineWriter((bytes) => {
    const part = bytes.subarray(0, 5);
    written.push(new TextDecoder().decode(part));
    return Promise.resolve(part.length);
  });
  const output = new LogOutput(destination);
  output.add("one\n");
  output.add("two\n");
  await output.drain(1000);
  assert.deepEqual(written, ["one\nt", "wo\n"]);
  assert.equal(output.dropped, 0);
});

Deno.test("LogOutput drops and counts lines when its reader has stopped, and goes on later", async () => {
  let release = () => {};
  let written = 0;
  const destination = new LineWriter((bytes) => {
    written += bytes.length;
    return new Promise((resolve) => release = () => resolve(bytes.length));
  });
  const output = new LogOutput(destination);
  const line = `${"x".repeat(1023)}\n`;
  for (let i = 0; i < 2000; i++) output.add(line);
  await output.drain(1);
  assert.equal(output.dropped, 2000 - 1024);
  release();
  await output.drain(1000);
  output.add(line);
  await output.drain(1);
  assert.equal(output.dropped, 2000 - 1024);
  assert.equal(written, 1025 * 1024);
});

Deno.test("LogOutput survives a destination that fails", async () => {
  const output = new LogOutput(new LineWriter(() => Promise.reject(new Error("disk full"))));
  output.add("a\n");
  await output.drain(1000);
  output.add("b\n");
  await output.drain(1000);
  assert.equal(output.dropped, 2);
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
