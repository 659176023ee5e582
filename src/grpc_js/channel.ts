import {
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  loadPackageDefinition,
  type Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import { isIP } from "node:net";
import protobuf from "protobufjs";
import healthProto from "../../proto/grpc/health/v1/health.proto" with { type: "text" };
import type { CloseReason } from "../backend/connection.ts";
import type { Destination } from "../backend/dial.ts";
import type { PoolOptions } from "../backend/pool.ts";
import type { BackendTls } from "../backend/transport.ts";
import type { Deadline, Deadlines } from "../deadline.ts";
import { MAX_MESSAGE_BYTES } from "../grpc/health.ts";
import { formatHostPort } from "../protocol/host.ts";
import { identityProblem } from "../tls/server_identity.ts";
import { HeldSockets } from "./workarounds.ts";

/** `HealthCheckResponse`: the status by its name, or a bare number where the proto has no name for it. */
export interface HealthCheckResponse {
  readonly status: string | number;
}

interface HealthService extends Client {
  check(
    request: { readonly service: string },
    metadata: Metadata,
    options: { readonly host: string },
    callback: (error: ServiceError | null, response?: HealthCheckResponse) => void,
  ): ClientUnaryCall;
}

type HealthServiceConstructor = new (
  target: string,
  credentials: ChannelCredentials,
  options: ChannelOptions,
) => HealthService;

/** The client of `grpc.health.v1.Health`, as proto-loader makes it from the proto. */
const HealthService = loadHealthService();

/** SNI towards a server that is checked by its IP address: grpc-js always sends one. */
const NO_SERVER_NAME = "ip-address.invalid";

const OPTIONS = {
  // With retries on, grpc-js retries without end (and without letting a timer fire) a call that a server
  // refuses by a GOAWAY in its first segment.
  "grpc.enable_retries": 0,
  "grpc.enable_channelz": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  // Each channel owns its connection, and closing the one frees the other.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.primary_user_agent": "haproxy-grpc-agent",
};

/** What grpc-js's errors begin with where there is no whole answer, whether the server or grpc-js broke it off. */
const NO_ANSWER = [
  "Stream refused by server",
  "Connection dropped",
  "Call cancelled",
  "Received RST_STREAM",
  "Bandwidth exhausted or memory limit exceeded",
  "Protocol not secure enough",
  "Received message larger than max",
];

/** How a call ended, and whether its connection is still there. */
export type CallEnd =
  | { readonly kind: "response"; readonly connected: true; readonly status: string }
  | {
    readonly kind: "error";
    readonly connected: boolean;
    readonly error: ServiceError;
    /** Whether there was a whole answer, even one that grpc-js refuses. */
    readonly answered: boolean;
  }
  /** `late` tells whether the process was held up meanwhile. */
  | { readonly kind: "timeout"; readonly connected: boolean; readonly late: boolean };

/** A call under way. */
export interface ChannelCall {
  /** Settles in time when the call has ended; never settles once it is cancelled. */
  readonly ended: Promise<CallEnd>;
  /** Gives it up. Idempotent. */
  cancel(): void;
}

/**
 * One connection of grpc-js to one address. It takes calls until one fails together with the connection: grpc-js
 * would connect again only after a pause, and let calls fail with the last error meanwhile.
 */
export class Channel {
  readonly #client: HealthService;
  readonly #sockets = new HeldSockets();
  readonly #options: PoolOptions;
  readonly #deadlines: Deadlines;
  readonly #onClosed: (reason: CloseReason) => void;
  /** The ends of the calls under way. */
  readonly #calls = new Set<(end: CallEnd) => void>();
  readonly #connecting: Deadline;
  #idle: Deadline | undefined;
  /** Whether the server has answered a call on it. */
  #hasAnswered = false;
  #closeReason: CloseReason | undefined;

  /** @param onClosed called once, when it is closed and no call is on it any more */
  constructor(
    { address, port, tls }: Destination,
    options: PoolOptions,
    deadlines: Deadlines,
    onClosed: (reason: CloseReason) => void,
  ) {
    this.#options = options;
    this.#deadlines = deadlines;
    this.#onClosed = onClosed;
    this.#client = new HealthService(
      `ipv${isIP(address)}:${formatHostPort(address, port)}`,
      this.#sockets.heldBy(tls === undefined ? credentials.createInsecure() : credentialsOf(tls)),
      tls === undefined ? OPTIONS : { ...OPTIONS, "grpc.ssl_target_name_override": sniOf(tls) },
    );
    this.#connecting = deadlines.setForOtherSide((late) => {
      if (this.#connected) return;
      for (const end of this.#calls) end({ kind: "timeout", connected: false, late });
      this.close("peer");
    }, options.connectTimeoutMs);
  }

  /** How far it is; one that is broken takes no more calls. */
  get state(): "connecting" | "ready" | "broken" {
    if (this.#closeReason !== undefined) return "broken";
    if (this.#connected) return "ready";
    return this.#hasAnswered ? "broken" : "connecting";
  }

  /** Calls under way. */
  get callsUnderWay(): number {
    return this.#calls.size;
  }

  /**
   * Begins a call.
   *
   * @param timeoutMs its deadline from now, told to the server too, in milliseconds
   */
  check(
    { service, authority }: { readonly service: string; readonly authority: string },
    metadata: Metadata,
    timeoutMs: number,
  ): ChannelCall {
    this.#idle?.cancel();
    const { promise: ended, resolve } = Promise.withResolvers<CallEnd>();
    const fields = metadata.clone();
    // Set here, since a deadline of grpc-js itself would not tell whether the process was held up.
    fields.set("grpc-timeout", `${Math.ceil(timeoutMs)}m`);
    const call = this.#client.check({ service }, fields, { host: authority }, (error, response) => {
      // grpc-js reports the end of a stream before the end of its session.
      setImmediate(() => end(this.#endOf(error, response)));
    });
    const end = (how: CallEnd | undefined) => {
      if (!this.#calls.delete(end)) return;
      deadline.cancel();
      call.cancel();
      if (how?.kind === "response" || how?.kind === "error" && how.answered) {
        this.#hasAnswered = true;
      } // A call that is given up while connecting leaves its connection to the next one.
      else if (how !== undefined || this.#connected) this.#closeReason ??= "peer";
      if (how !== undefined) resolve(how);
      if (this.#calls.size === 0) this.#callsEnded();
    };
    const deadline = this.#deadlines.setForOtherSide((late) => {
      end({ kind: "timeout", connected: this.#connected, late });
    }, timeoutMs);
    this.#calls.add(end);
    return { ended, cancel: () => end(undefined) };
  }

  /** Closes it once the calls on it have ended. Idempotent. */
  close(reason: CloseReason): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = reason;
    this.#idle?.cancel();
    if (this.#calls.size === 0) this.#callsEnded();
  }

  get #connected(): boolean {
    return this.#client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  #endOf(error: ServiceError | null, response: HealthCheckResponse | undefined): CallEnd {
    if (error === null) {
      return { kind: "response", connected: true, status: String(response?.status ?? "UNKNOWN") };
    }
    const connected = this.#connected;
    const answered = connected && !NO_ANSWER.some((text) => error.details.startsWith(text));
    return { kind: "error", connected, error, answered };
  }

  #callsEnded(): void {
    if (this.#closeReason === undefined && !this.#options.keep) this.#closeReason = "unused";
    if (this.#closeReason === undefined) {
      this.#idle = this.#deadlines.set(() => this.close("idle"), this.#options.idleTimeoutMs);
      return;
    }
    this.#connecting.cancel();
    this.#client.close();
    this.#sockets.release();
    this.#onClosed(this.#closeReason);
  }
}

function credentialsOf({ profile, serverName }: BackendTls): ChannelCredentials {
  return credentials.createFromSecureContext(profile.context(), {
    checkServerIdentity: (_, certificate) => identityProblem(serverName, certificate.raw),
    rejectUnauthorized: profile.settings.insecureSkipVerify !== true,
  });
}

/** RFC 6066, section 3: an IP address is never sent as SNI, and node:tls throws if given one. */
function sniOf({ serverName }: BackendTls): string {
  return isIP(serverName) === 0 ? serverName : NO_SERVER_NAME;
}

/** The proto is part of the program, so that no file is needed beside it. */
function loadHealthService(): HealthServiceConstructor {
  const { root } = protobuf.parse(healthProto, { keepCase: true });
  const definition = fromJSON(root.toJSON(), { keepCase: true, enums: String, defaults: true });
  const loaded = loadPackageDefinition(definition) as unknown as {
    grpc: { health: { v1: { Health: HealthServiceConstructor } } };
  };
  return loaded.grpc.health.v1.Health;
}
