import http2 from "node:http2";
import { putOffClosing } from "../../../../src/grpc_js/workarounds.ts";

/**
 * Keeps a GOAWAY of a client from killing a lab backend. Deno's HTTP/2 servers have the fault that
 * src/grpc_js/workarounds.ts describes as its clients do. The agent sends none for that reason, but a
 * backend that died of one would only show as a wrong `down`. To be called before the first server.
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
