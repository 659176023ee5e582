import { ChannelPool } from "./check/channel_pool.ts";
import { Checker } from "./check/checker.ts";
import { installGoawayGuard } from "./check/goaway_guard.ts";
import { installPinnedResolver } from "./check/pinned_resolver.ts";
import { Resolver } from "./check/resolve.ts";
import type { SecureContext } from "node:tls";
import type { Config } from "./config/settings.ts";
import { HttpServer } from "./observe/http_server.ts";
import { LastAnswers } from "./observe/last_answers.ts";
import type { Logs } from "./observe/log.ts";
import { Metrics } from "./observe/metrics.ts";
import { Recorder } from "./observe/recorder.ts";
import { Responder } from "./server/responder.ts";
import { Server } from "./server/server.ts";
import { formatHostPort } from "./protocol/host.ts";

/** Bounds of a connection, in bytes and milliseconds. */
const CONNECTION_LIMITS = {
  maxLineBytes: 1024,
  requestTimeoutMs: 10_000,
  idleTimeoutMs: 300_000,
};

/** Backends whose last answer is remembered. */
const MAX_REMEMBERED_BACKENDS = 10_000;

/** A running agent. */
export interface Agent {
  /** Stops listening, answers the checks under way, closes the connections. Never answers `down`. */
  stop(): Promise<void>;
}

/**
 * Builds the agent from its parts and starts it.
 *
 * @param trust gives the TLS context for backends asked with `ssl`
 * @throws when `server_bind_address` and `server_port` cannot be listened on
 */
export function startAgent(config: Config, trust: () => SecureContext, logs: Logs): Agent {
  installGoawayGuard();
  installPinnedResolver();
  const metrics = new Metrics();
  const pool = new ChannelPool(
    { connectTimeoutMs: Math.min(config.grpc_connect_timeout_ms, config.check_timeout_ms) },
    new Resolver(),
    metrics.channels,
  );
  const checker = new Checker(
    { checkTimeoutMs: config.check_timeout_ms, rpcTimeoutMs: config.grpc_rpc_timeout_ms },
    pool,
    trust,
  );
  const recorder = new Recorder(metrics, logs, new LastAnswers(MAX_REMEMBERED_BACKENDS));
  const responder = new Responder(checker, recorder);
  const server = new Server(
    Deno.listen({ hostname: config.server_bind_address, port: config.server_port }),
    CONNECTION_LIMITS,
    (line, peer, abandoned) => responder.answer(line, peer, abandoned),
    metrics,
    logs.server,
  );
  const running = server.run();
  logs.server.info("Listening", {
    address: formatHostPort(config.server_bind_address, config.server_port),
  });
  let stopping = false;
  const http = startHttp(config, metrics, logs, () => !stopping);
  return {
    async stop() {
      stopping = true;
      await server.stop();
      await running;
      pool.close();
      await http?.stop();
    },
  };
}

/** Without its metrics the agent still does its work, so a taken port is only told. */
function startHttp(
  { metrics_bind_address: hostname, metrics_port: port }: Config,
  metrics: Metrics,
  logs: Logs,
  ready: () => boolean,
): HttpServer | undefined {
  const address = formatHostPort(hostname, port);
  try {
    const http = new HttpServer(hostname, port, metrics, ready);
    logs.metrics.info("Listening", { address });
    return http;
  } catch (error) {
    logs.metrics.error("Cannot listen: going on without metrics", {
      address,
      error: String(error),
    });
    return undefined;
  }
}
