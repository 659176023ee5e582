import { installGoawayGuard } from "./grpc/goaway_guard.ts";
import { GrpcJsClient } from "./grpc/grpc_js_client.ts";
import { limitConnecting } from "./grpc/grpc_js_sockets.ts";
import { logGrpc } from "./observe/grpc_log.ts";
import type { Logger } from "./observe/log.ts";

export { GrpcJsClient };

/**
 * Prepares this process for grpc-js. To be called once, before the first client is made.
 *
 * @param log takes what grpc-js says; `undefined` for nowhere
 */
export function setUpGrpcJs(log: Logger | undefined): void {
  installGoawayGuard();
  limitConnecting();
  logGrpc(log);
}
