import type { Destination } from "./backend/dial.ts";
import { NameLookUp } from "./backend/name_look_up.ts";
import { Pool, type PoolObserver, type PoolOptions } from "./backend/pool.ts";
import { ReadMarker } from "./backend/read_marker.ts";
import { DnsCache, Resolver } from "./backend/resolve.ts";
import { Checker } from "./check/checker.ts";
import type { CheckObserver, HealthClient } from "./check/health_client.ts";
import { NativeClient } from "./check/native_client.ts";
import type { Configuration } from "./config/configuration.ts";
import { Deadlines } from "./deadline.ts";
import { reasonOf } from "./describe_error.ts";
import type { GrpcJsClient, GrpcJsLog } from "./grpc_js/client.ts";
import { type Logger, ThrottledWarnings } from "./log/log.ts";

/** When a kept connection is replaced, give or take a fifth, in milliseconds. */
const MAX_CONNECTION_AGE_MS = 300_000;

/** The module of grpc-js, once it is loaded: a module cannot be unloaded. */
let grpcJs: typeof import("./grpc_js/client.ts") | undefined;

/**
 * Loads grpc-js where a configuration chooses it, which most do not. To be awaited before {@linkcode Backends} get the
 * configuration.
 *
 * @param log takes what grpc-js says from then on; `undefined` for nowhere
 * @returns why it cannot be loaded, if so
 */
export async function loadClient(
  { settings }: Configuration,
  log: Logger | undefined,
): Promise<string | undefined> {
  if (settings.grpc_client !== "grpc-js" || grpcJs !== undefined) return undefined;
  try {
    const loaded = await import("./grpc_js/client.ts");
    // Once: another load may have ended meanwhile.
    if (grpcJs === undefined) loaded.setUpGrpcJs(log && grpcJsLog(log));
    grpcJs = loaded;
    return undefined;
  } catch (error) {
    return `grpc_client: grpc-js cannot be loaded: ${reasonOf(error)}`;
  }
}

function grpcJsLog(log: Logger): GrpcJsLog {
  const warnings = new ThrottledWarnings(log);
  return {
    warn: (text) => warnings.warn("grpc-js complains", () => ({ text: text() })),
    debug: (text) => log.debug("grpc-js says", () => ({ text: text() })),
  };
}

/** Told what happens between the agent and the backends. */
export type BackendsObserver = PoolObserver & CheckObserver;

/** The connections to backends, and the addresses of their names. Both outlive a reload. */
export class Backends {
  readonly #marker = new ReadMarker();
  readonly #deadlines = new Deadlines((sockets) => this.#marker.caughtUp(sockets));
  readonly #names = new DnsCache(new NameLookUp());
  readonly #observer: BackendsObserver;
  readonly #pool: Pool;
  /** Belongs to one configuration, with its channels. */
  #grpcJsClient: GrpcJsClient | undefined;

  constructor(configuration: Configuration, observer: BackendsObserver) {
    this.#observer = observer;
    this.#pool = new Pool(poolOptions(configuration), observer, this.#deadlines);
  }

  /**
   * @returns a checker for a configuration. It shares the known addresses, and the native client's connections, with
   * those of other configurations
   */
  checkerFor(configuration: Configuration): Checker {
    const { settings, tlsProfiles, backendRules } = configuration;
    return new Checker(
      {
        checkTimeoutMs: settings.check_timeout_ms,
        coalesce: settings.coalesce_checks,
        verdictMaxAgeMs: settings.verdict_max_age_ms,
      },
      this.#clientFor(configuration),
      new Resolver(backendRules, this.#names, settings.grpc_connect_timeout_ms / 2),
      tlsProfiles,
      this.#deadlines,
      this.#observer,
    );
  }

  /**
   * Ends the connections that the new configuration would not open, or would open differently, once the calls on
   * them have ended.
   */
  reconfigure(configuration: Configuration): void {
    this.#grpcJsClient?.close();
    const { settings, tlsProfiles, backendRules } = configuration;
    const trusted = new Set([...tlsProfiles.values()].map(({ fingerprint }) => fingerprint));
    const isUsed = settings.grpc_client === "native";
    const options = poolOptions(configuration);
    this.#pool.reconfigure(
      { ...options, keep: options.keep && isUsed },
      ({ host, address, port, tls }: Destination) =>
        isUsed && (tls === undefined || trusted.has(tls.profile.fingerprint)) &&
        backendRules.permitted(host, port, [address]).length > 0,
    );
  }

  /** Closes all connections once the calls on them have ended. */
  close(): void {
    this.#pool.close();
    this.#grpcJsClient?.close();
    void this.#marker.close();
  }

  #clientFor(configuration: Configuration): HealthClient {
    const { settings, metadata } = configuration;
    const { grpc_rpc_timeout_ms: rpcTimeoutMs, grpc_client: chosen } = settings;
    if (chosen === "native") {
      this.#grpcJsClient = undefined;
      const timeouts = { rpcTimeoutMs, connectTimeoutMs: settings.grpc_connect_timeout_ms };
      return new NativeClient(this.#pool, this.#deadlines, timeouts, metadata, this.#observer);
    }
    if (grpcJs === undefined) throw new Error("grpc-js has not been loaded");
    const options = poolOptions(configuration);
    this.#grpcJsClient = new grpcJs.GrpcJsClient(
      options,
      rpcTimeoutMs,
      metadata,
      this.#deadlines,
      this.#observer,
    );
    return this.#grpcJsClient;
  }
}

function poolOptions({ settings }: Configuration): PoolOptions {
  return {
    connectTimeoutMs: settings.grpc_connect_timeout_ms,
    keep: settings.grpc_channel_cache_enabled,
    idleTimeoutMs: settings.channel_idle_timeout_ms,
    maxConnections: settings.max_channels,
    maxAgeMs: MAX_CONNECTION_AGE_MS,
  };
}
