import assert from "node:assert/strict";
import { BackendHistory } from "../../src/observe/backend_history.ts";
import { setUpLogging } from "../../src/observe/log.ts";
import { Metrics } from "../../src/observe/metrics.ts";
import { Recorder } from "../../src/observe/recorder.ts";
import { FakeTime } from "../lab/fake_time.ts";

const REQUEST = {
  key: "127.0.0.1 1",
  host: "127.0.0.1",
  port: 1,
  tls: false,
  authority: "a",
  serverName: "a",
  tlsProfile: "",
  service: "",
};

const CHECK = { asked: { traceId: "" }, request: REQUEST, peer: "127.0.0.1:2" };

Deno.test("Recorder tells once at level error, and in a gauge until it can, that the agent could not ask a backend for a minute", async () => {
  using time = new FakeTime();
  const entries: { level: string; message: string }[] = [];
  const metrics = new Metrics();
  const write = (line: string) => entries.push(JSON.parse(line));
  const options = { level: "info", format: "json", levels: new Map(), colour: false } as const;
  const logs = setUpLogging({ ...options, write });
  const recorder = new Recorder(metrics, logs, new BackendHistory(() => 0), "none");
  const told = () =>
    entries.filter(({ level, message }) =>
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
    word: "up",
    note: "",
    durationMs: 1,
  });
  assert.deepEqual([told(), await unasked()], [1, "0"]);
});
