import assert from "node:assert/strict";
import { BackendHistory } from "../../src/observe/backend_history.ts";
import { type LogLevel, type Logs, setUpLogging } from "../../src/observe/log.ts";
import { Metrics } from "../../src/observe/metrics.ts";
import { type LogChecks, Recorder } from "../../src/observe/recorder.ts";
import { ThrottledWarnings } from "../../src/observe/throttled_warnings.ts";
import type { BackendVerdict } from "../../src/protocol/verdict.ts";

function logsInto(
  lines: string[],
  level: LogLevel = "trace",
  format: "json" | "pretty" = "json",
): Logs {
  const write = (line: string) => lines.push(line);
  return setUpLogging({ level, levels: new Map(), format, colour: false, write });
}

Deno.test("A message is logged as it is, braces included", () => {
  const lines: string[] = [];
  const message = 'log_level (from a.toml line 1): "{level} {{x}}" is not one of trace, debug';
  logsInto(lines).config.error(message, { level: "no" });
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
      logsInto(lines, "trace", format).protocol.warn("Invalid line", { line: `a${text}b` });
      const [line = ""] = lines;
      assert.match(line, /^[\x20-\x7e]+\n$/);
      if (format === "json") assert.equal(JSON.parse(line).line, `a${text}b`);
    });
  }
}

Deno.test("A flood of one kind of warning does not hide another", () => {
  const lines: string[] = [];
  const warnings = new ThrottledWarnings(logsInto(lines).server);
  let made = 0;
  for (let index = 0; index < 100; index++) {
    warnings.warn("Connection rejected", () => ({ n: ++made }));
  }
  warnings.warn("Connection broken in the middle of a request", () => ({}));
  assert.equal(lines.length, 11);
  assert.equal(made, 10, "Fields of warnings that are left out are not made");
});

const UNREACHABLE: BackendVerdict = { kind: "unreachable", detail: "refused" };

for (
  const { level, logChecks, verdict, lines: expected } of [
    { level: "info", logChecks: "all", verdict: { kind: "serving" }, lines: 2 },
    { level: "info", logChecks: "changes", verdict: { kind: "serving" }, lines: 1 },
    { level: "info", logChecks: "none", verdict: { kind: "serving" }, lines: 0 },
    { level: "warn", logChecks: "all", verdict: { kind: "serving" }, lines: 0 },
    { level: "info", logChecks: "none", verdict: UNREACHABLE, lines: 1 },
    { level: "debug", logChecks: "none", verdict: UNREACHABLE, lines: 2 },
    { level: "debug", logChecks: "all", verdict: UNREACHABLE, lines: 4 },
  ] satisfies {
    level: LogLevel;
    logChecks: LogChecks;
    verdict: BackendVerdict;
    lines: number;
  }[]
) {
  Deno.test(`Two checks, ${verdict.kind}, at level ${level} with log_checks = ${logChecks} make ${expected} lines`, () => {
    const lines: string[] = [];
    const recorder = new Recorder(
      new Metrics(),
      logsInto(lines, level),
      new BackendHistory(() => 0),
      logChecks,
    );
    let made = 0;
    for (const traceId of ["a".repeat(32), "b".repeat(32)]) {
      recorder.recordCheck({
        request: {
          key: "127.0.0.1 1",
          host: "127.0.0.1",
          port: 1,
          tls: false,
          authority: "a",
          serverName: "a",
          tlsProfile: "",
          service: "",
        },
        verdict,
        word: verdict.kind === "serving" ? "up" : "down",
        note: "",
        durationMs: 1,
        peer: "127.0.0.1:2",
        asked: {
          get traceId() {
            made++;
            return traceId;
          },
        },
      });
    }
    assert.equal(lines.length, expected);
    assert.equal(made, expected, "Fields are made for lines that are written, and no others");
  });
}

Deno.test("An endless word of a backend is cut", () => {
  const lines: string[] = [];
  const recorder = new Recorder(
    new Metrics(),
    logsInto(lines),
    new BackendHistory(() => 0),
    "none",
  );
  recorder.recordCheck({
    asked: { traceId: "" },
    request: {
      key: "127.0.0.1 1",
      host: "127.0.0.1",
      port: 1,
      tls: false,
      authority: "a",
      serverName: "a",
      tlsProfile: "",
      service: "",
    },
    verdict: { kind: "rpc", code: "UNKNOWN", detail: "x".repeat(10_000) },
    word: "down",
    note: "",
    durationMs: 1,
    peer: "",
  });
  assert.equal(JSON.parse(lines[0] ?? "").error.length, 2000);
});
