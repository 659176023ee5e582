import assert from "node:assert/strict";
import type { Checker } from "../../src/check/checker.ts";
import { Standings } from "../../src/check/standings.ts";
import { BackendHistory } from "../../src/observe/backend_history.ts";
import { setUpLogging } from "../../src/observe/log.ts";
import { Metrics } from "../../src/observe/metrics.ts";
import { Recorder } from "../../src/observe/recorder.ts";
import { Responder } from "../../src/server/responder.ts";

Deno.test("Responder answers down when it meets a bug, counts it and logs its stack", async () => {
  const lines: string[] = [];
  const logs = setUpLogging({
    level: "info",
    levels: new Map(),
    format: "json",
    colour: false,
    write: (line) => lines.push(line),
  });
  const metrics = new Metrics();
  const recorder = new Recorder(metrics, logs, new BackendHistory(() => 0), "all");
  const broken = {
    hasTlsProfile(): boolean {
      throw new TypeError("a bug");
    },
  } as unknown as Checker;
  const options = { fall: 1, rise: 1, notServingReply: "down", reason: false } as const;
  const responder = new Responder(options, broken, new Standings(() => 0), recorder);
  const peer = { host: "10.0.0.1", text: "10.0.0.1:1" };
  const { signal } = new AbortController();
  const reply = await responder.answer("10.0.3.7 1 no-ssl api", peer, "0".repeat(32), signal);
  assert.equal(reply, "down\n");
  const [entry] = lines.map((line) => JSON.parse(line));
  assert.equal(entry.level, "error");
  assert.equal(entry.error_type, "internal");
  assert.match(entry.error, /TypeError: a bug\n +at /);
  assert.match(await metrics.render(), /check_errors_total\{error_type="internal"\} 1\n/);
});
