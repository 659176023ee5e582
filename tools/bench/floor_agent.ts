/**
 * The floor: the agent's own front end (connections, lines, replies, metrics, log) with a checker that
 * says up at once. What the agent costs beyond it is the checking.
 */

import type { Checker } from "../../src/check/checker.ts";
import { Standings } from "../../src/check/standings.ts";
import { loadConfiguration } from "../../src/config/load.ts";
import { BackendHistory } from "../../src/observe/backend_history.ts";
import { setUpLogging } from "../../src/observe/log.ts";
import { LineWriter } from "../../src/observe/line_writer.ts";
import { LogOutput } from "../../src/observe/log_output.ts";
import { Metrics } from "../../src/observe/metrics.ts";
import { Recorder } from "../../src/observe/recorder.ts";
import { Responder } from "../../src/server/responder.ts";
import { Server } from "../../src/server/server.ts";

const SERVING = Promise.resolve({ kind: "serving" } as const);
const checker = { hasTlsProfile: () => true, check: () => SERVING } as unknown as Checker;

const port = Number(Deno.args[0]);
const loaded = await loadConfiguration({
  flags: new Map(),
  configFile: undefined,
  environment: {},
  readTextFile: Deno.readTextFileSync,
});
if (!loaded.ok) throw new Error(loaded.mistakes.join("; "));
const { settings } = loaded.configuration;
const output = new LogOutput(new LineWriter((bytes) => Deno.stderr.write(bytes)));
const logs = setUpLogging({
  level: settings.log_level,
  levels: new Map(),
  format: settings.log_format,
  colour: false,
  write: (line) => output.add(line),
});
const metrics = new Metrics();
const responder = new Responder(
  { fall: 1, rise: 1, notServingReply: "down", reason: false },
  checker,
  new Standings(() => performance.now()),
  new Recorder(metrics, logs, new BackendHistory(() => performance.now()), settings.log_checks),
);
const admission = {
  clientRules: loaded.configuration.clientRules,
  maxConnections: settings.max_connections,
  limits: {
    maxLineBytes: settings.max_line_bytes,
    requestTimeoutMs: settings.request_timeout_ms,
    idleTimeoutMs: settings.idle_timeout_ms,
  },
};
const server = new Server(
  [Deno.listen({ hostname: "127.0.0.1", port })],
  () => admission,
  (line, peer, traceId, abandoned) => responder.answer(line, peer, traceId, abandoned),
  metrics,
  logs.server,
);
await server.run();
