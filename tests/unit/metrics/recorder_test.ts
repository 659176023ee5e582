import assert from "node:assert/strict";
import { type LogChecks, type LogLevel, type Logs, setUpLogging } from "../../../src/log/log.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { Recorder } from "../../../src/metrics/recorder.ts";
import type { BackendVerdict } from "../../../src/protocol/verdict.ts";
import { BackendHistory } from "../../../src/status/history.ts";

function logsInto(
  lines: string[],
  level: LogLevel = "trace",
  format: "json" | "pretty" = "json",
): Logs {
  const write = (line: string) => lines.push(line);
  return setUpLogging({ level, levels: new Map(), format, colour: false, write });
}

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
        state: verdict.kind === "serving" ? "up" : "down",
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

Deno.test("An endless state of a backend is cut", () => {
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
    state: "down",
    note: "",
    durationMs: 1,
    peer: "",
  });
  assert.equal(JSON.parse(lines[0] ?? "").error.length, 2000);
});
