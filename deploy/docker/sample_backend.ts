/**
 * A gRPC server with nothing but grpc.health.v1.Health/Check, as the compose file's backends run it.
 * SIGUSR1 makes it NOT_SERVING, SIGUSR2 SERVING again.
 */

import { Buffer } from "node:buffer";
import * as grpc from "@grpc/grpc-js";
import { guardHttp2Servers } from "../../tests/lab/backends/libraries/guarded_http2_server.ts";

const SERVING = 1;
const NOT_SERVING = 2;

// The two messages have one field each, so no schema is loaded: every service has the server's status.
const HEALTH: grpc.ServiceDefinition = {
  Check: {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: (request: Uint8Array) => Buffer.from(request),
    requestDeserialize: (bytes: Uint8Array) => bytes,
    responseSerialize: (status: number) => Buffer.from([0x08, status]),
    responseDeserialize: (bytes: Uint8Array) => bytes[1],
  },
};

let status = SERVING;
Deno.addSignalListener("SIGUSR1", () => status = NOT_SERVING);
Deno.addSignalListener("SIGUSR2", () => status = SERVING);
Deno.addSignalListener("SIGTERM", () => Deno.exit(0));

guardHttp2Servers();
const server = new grpc.Server();
server.addService(HEALTH, {
  Check: (_call: unknown, done: grpc.sendUnaryData<number>) => done(null, status),
});
server.bindAsync("0.0.0.0:50051", grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
