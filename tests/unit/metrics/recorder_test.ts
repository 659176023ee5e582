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

const REQUEST = {
  key: "127.0.0.1 1",
  lineKey: "127.0.0.1 1",
  host: "127.0.0.1",
  port: 1,
  tls: false,
  authority: "a",
  serverName: "a",
  tlsProfile: "",
  service: "",
};

const ASKED = {
  line: "127.0.0.1 1 no-ssl a",
  peer: { host: "127.0.0.1", text: "127.0.0.1:2" },
  traceId: "",
};

const CHECK = { asked: ASKED, request: REQUEST };

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
        request: REQUEST,
        verdict,
        state: verdict.kind === "serving" ? "up" : "down",
        note: "",
        durationMs: 1,
        asked: {
          ...ASKED,
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
    ...CHECK,
    verdict: { kind: "rpc", code: "UNKNOWN", detail: "x".repeat(10_000) },
    state: "down",
    note: "",
    durationMs: 1,
  });
  assert.equal(JSON.parse(lines[0] ?? "").error.length, 2000);
});

Deno.test("Recorder tells once at level error that the agent could not ask a backend for a minute", () => {
  let now = 0;
  const lines: string[] = [];
  const history = new BackendHistory(() => now);
  const recorder = new Recorder(new Metrics(), logsInto(lines), history, "none");
  const told = [0, 59_999, 60_000, 61_000].map((at) => {
    now = at;
    recorder.recordAgentFailure({
      ...CHECK,
      verdict: { kind: "local", detail: "ENOBUFS" },
      reply: "up\n",
    });
    return lines.map((line) => JSON.parse(line)).filter(({ level, message }) =>
      level === "error" &&
      message === "The agent has not been able to ask this backend for a minute"
    ).length;
  });
  assert.deepEqual(told, [0, 0, 1, 1]);
});
