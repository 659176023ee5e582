import http2 from "node:http2";
import { putOffClosing } from "../../../../src/grpc/goaway_guard.ts";

/**
 * Keeps a GOAWAY of a client from killing a backend. Deno's HTTP/2 servers have the fault that
 * src/grpc/goaway_guard.ts describes of its clients, and a backend that died of it would look like a wrong
 * `down` of the agent. To be called before the first server is made; it can go with that guard.
 */
export function guardHttp2Servers(): void {
  const { createServer, createSecureServer } = http2;
  http2.createServer = (...args: unknown[]) => guarded(Reflect.apply(createServer, http2, args));
  http2.createSecureServer = (...args: unknown[]) =>
    guarded(Reflect.apply(createSecureServer, http2, args));
}

function guarded<Server extends http2.Http2Server | http2.Http2SecureServer>(
  server: Server,
): Server {
  server.on("session", putOffClosing);
  return server;
}
