import {
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  type ClientReadableStream,
  type ClientUnaryCall,
  loadPackageDefinition,
  type Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import protobuf from "protobufjs";
import healthProto from "../../proto/grpc/health/v1/health.proto" with { type: "text" };

/** `HealthCheckResponse`: the status by its name, or a bare number where the proto has no name for it. */
export interface HealthCheckResponse {
  readonly status: string | number;
}

/** The client of `grpc.health.v1.Health`, as proto-loader makes it from the proto. */
export interface HealthClient extends Client {
  check(
    request: { readonly service: string },
    metadata: Metadata,
    options: { readonly deadline?: number },
    callback: (error: ServiceError | null, response?: HealthCheckResponse) => void,
  ): ClientUnaryCall;
  watch(
    request: { readonly service: string },
    metadata: Metadata,
    options: { readonly deadline?: number },
  ): ClientReadableStream<HealthCheckResponse>;
}

type HealthClientConstructor = new (
  target: string,
  credentials: ChannelCredentials,
  options: ChannelOptions,
) => HealthClient;

/**
 * The proto is part of the program (an import, not a file read at run time), so that the bundle and
 * the compiled executable need no file beside them.
 */
export const HealthClient: HealthClientConstructor = loadHealthClient();

function loadHealthClient(): HealthClientConstructor {
  const { root } = protobuf.parse(healthProto, { keepCase: true });
  const definition = fromJSON(root.toJSON(), { keepCase: true, enums: String, defaults: true });
  const loaded = loadPackageDefinition(definition) as unknown as {
    grpc: { health: { v1: { Health: HealthClientConstructor } } };
  };
  return loaded.grpc.health.v1.Health;
}
