import assert from "node:assert/strict";
import { type LogChecks, type LogLevel, type Logs, setUpLogging } from "../../../src/log/log.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { Recorder, UnaskedBackends } from "../../../src/metrics/recorder.ts";
import type { BackendVerdict } from "../../../src/protocol/verdict.ts";
import { BackendHistory } from "../../../src/status/history.ts";
import { FakeTime } from "../../lab/unit/fake_time.ts";

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

Deno.test("Recorder tells once at level error, and in a gauge until it can, that the agent could not ask a backend for a minute", async () => {
  using time = new FakeTime();
  const lines: string[] = [];
  const metrics = new Metrics();
  const recorder = new Recorder(metrics, logsInto(lines), new BackendHistory(() => 0), "none");
  const told = () =>
    lines.map((line) => JSON.parse(line)).filter(({ level, message }) =>
      level === "error" &&
      message === "The agent has not been able to ask this backend for a minute"
    ).length;
  const unasked = async () =>
    /^haproxy_grpc_agent_backends_unasked (\d+)$/m.exec(await metrics.registry.metrics())?.[1];
  const lack = () =>
    recorder.recordAgentFailure({
      ...CHECK,
      verdict: { kind: "local", detail: "ENOBUFS" },
      reply: "up\n",
    });

  lack();
  time.passes(59_999);
  lack();
  assert.deepEqual([told(), await unasked()], [0, "0"]);
  time.passes(1);
  for (let nth = 0; nth < 3; nth++) lack();
  assert.deepEqual([told(), await unasked()], [1, "1"]);
  recorder.recordCheck({
    ...CHECK,
    verdict: { kind: "serving" },
    state: "up",
    note: "",
    durationMs: 1,
  });
  assert.deepEqual([told(), await unasked()], [1, "0"]);
});

Deno.test("UnaskedBackends tells once of a backend that could not be asked for a minute", () => {
  let now = 0;
  const unasked = new UnaskedBackends(() => now);
  const told = [0, 30_000, 59_999, 60_000, 61_000].map((at) => {
    now = at;
    return unasked.add("a");
  });
  assert.deepEqual(told, [false, false, false, true, false]);
  assert.equal(unasked.count, 1);
});

Deno.test("UnaskedBackends begins anew after a check that was made, and counts each backend by itself", () => {
  let now = 0;
  const unasked = new UnaskedBackends(() => now);
  for (const key of ["a", "b"]) unasked.add(key);
  now = 59_000;
  unasked.add("b");
  unasked.delete("a");
  assert.equal(unasked.add("a"), false);
  now = 60_000;
  assert.deepEqual([unasked.add("a"), unasked.add("b"), unasked.count], [false, true, 1]);
});

Deno.test("UnaskedBackends forgets a backend that nobody asks about for a minute", () => {
  let now = 0;
  const unasked = new UnaskedBackends(() => now);
  for (; now <= 60_000; now += 20_000) unasked.add("a");
  assert.equal(unasked.count, 1);
  now += 60_000;
  assert.equal(unasked.count, 0);
  assert.equal(unasked.add("a"), false, "It begins anew");
  assert.equal(unasked.count, 0);
});
