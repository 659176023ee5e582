/**
 * The process behind `health_backend.ts`: a gRPC health server on grpc-js, configured by one JSON
 * argument and commanded by JSON lines on its standard input.
 */
import { readFileSync } from "node:fs";
import * as grpc from "@grpc/grpc-js";
import * as protoLoader from "@grpc/proto-loader";
import { LineLog } from "../../machine/line_log.ts";
import { guardHttp2Servers } from "./guarded_http2_server.ts";
import type { BackendCall, HealthBackendOptions, HealthStatus } from "./health_backend.ts";

type Answer = { status: HealthStatus } | { error: { code: number; details: string } };
type Request = { service: string };
type Response = { status: HealthStatus };
type Command =
  & { id: number }
  & (
    | { do: "status"; service: string; status: HealthStatus }
    | { do: "error"; service: string; code: number; details: string }
    | { do: "delay"; delayMs: number }
    | { do: "report" }
    | { do: "close" }
  );

guardHttp2Servers();

const options = JSON.parse(Deno.args[0] ?? "{}") as HealthBackendOptions & { address: string };
const answers = new Map<string, Answer>(
  Object.entries(options.services ?? {}).map(([service, status]) => [service, { status }]),
);
const watchers = new Map<grpc.ServerWritableStream<Request, Response>, string>();
const seen: BackendCall[] = [];
const peers = new Set<string>();
let calls = 0;
let checks = 0;
let cancelled = 0;
let delayMs = options.delayMs ?? 0;

const NOT_FOUND: Answer = { error: { code: grpc.status.NOT_FOUND, details: "unknown service" } };

function record(
  method: BackendCall["method"],
  call: grpc.ServerUnaryCall<Request, Response> | grpc.ServerWritableStream<Request, Response>,
): void {
  calls++;
  peers.add(call.getPeer());
  const metadata = Object.fromEntries(
    Object.entries(call.metadata.getMap()).map(([name, value]) => [name, String(value)]),
  );
  const { service } = call.request;
  seen.push({ method, service, authority: call.getHost(), peer: call.getPeer(), metadata });
  if (seen.length > 1000) seen.shift();
}

function check(
  call: grpc.ServerUnaryCall<Request, Response>,
  done: grpc.sendUnaryData<Response>,
): void {
  record("Check", call);
  checks++;
  const answer = answers.get(call.request.service) ?? NOT_FOUND;
  let answered = false;
  // grpc-js emits this for each call that has ended, answered or not.
  call.on("cancelled", () => {
    if (!answered) cancelled++;
  });
  const reply = () => {
    answered = true;
    if ("error" in answer) done(answer.error);
    else done(null, answer);
  };
  if (delayMs > 0) setTimeout(reply, delayMs);
  else reply();
}

function watch(call: grpc.ServerWritableStream<Request, Response>): void {
  record("Watch", call);
  if (options.withoutWatch) {
    call.emit("error", { code: grpc.status.UNIMPLEMENTED, details: "no Watch here" });
    return;
  }
  watchers.set(call, call.request.service);
  call.on("cancelled", () => watchers.delete(call));
  tell(call, call.request.service);
}

function tell(call: grpc.ServerWritableStream<Request, Response>, service: string): void {
  const answer = answers.get(service) ?? { status: "SERVICE_UNKNOWN" };
  if ("error" in answer) {
    watchers.delete(call);
    call.emit("error", answer.error);
  } else call.write(answer);
}

function setAnswer(service: string, answer: Answer): void {
  answers.set(service, answer);
  for (const [call, watched] of watchers) if (watched === service) tell(call, service);
}

async function run(command: Command): Promise<unknown> {
  switch (command.do) {
    case "status":
      return setAnswer(command.service, { status: command.status });
    case "error":
      return setAnswer(command.service, { error: command });
    case "delay":
      delayMs = command.delayMs;
      return;
    case "report":
      return {
        ...{ calls, checks, cancelled },
        ...{ streams: watchers.size, connections: peers.size, recent: seen },
      };
    case "close":
      return await closePolitely();
  }
}

async function closePolitely(): Promise<never> {
  await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  Deno.exit(0);
}

function credentials(): grpc.ServerCredentials {
  const { tls } = options;
  if (!tls) return grpc.ServerCredentials.createInsecure();
  const pair = { "cert_chain": readFileSync(tls.cert), "private_key": readFileSync(tls.key) };
  const clientCa = tls.clientCa ? readFileSync(tls.clientCa) : null;
  return grpc.ServerCredentials.createSsl(clientCa, [pair], clientCa !== null);
}

function emit(value: unknown): void {
  console.log(JSON.stringify(value));
}

const definition = protoLoader.loadSync(
  new URL("../../../../proto/grpc/health/v1/health.proto", import.meta.url).pathname,
  { keepCase: true, defaults: true, enums: String },
);
const server = new grpc.Server({
  "grpc.so_reuseport": 0,
  ...options.maxConcurrentStreams === undefined ? {} : {
    "grpc.max_concurrent_streams": options.maxConcurrentStreams,
  },
  ...options.maxConnectionAgeMs === undefined ? {} : {
    "grpc.max_connection_age_ms": options.maxConnectionAgeMs,
    "grpc.max_connection_age_grace_ms": options.maxConnectionAgeGraceMs ?? 1000,
  },
});
server.addService(
  definition["grpc.health.v1.Health"] as grpc.ServiceDefinition,
  { Check: check, Watch: watch },
);
server.bindAsync(options.address, credentials(), (error) => {
  if (error) throw error;
  emit({ event: "listening" });
});

Deno.addSignalListener("SIGTERM", closePolitely);
const commands = new LineLog(Deno.stdin.readable);
commands.onLine(async (line) => {
  const command = JSON.parse(line) as Command;
  try {
    emit({ id: command.id, result: await run(command) });
  } catch (error) {
    emit({ id: command.id, error: String(error) });
  }
});
// Standard input ends with the test that started it: so does this process.
await commands.ended;
Deno.exit(0);
