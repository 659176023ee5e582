import type { Destination } from "./backend/destination.ts";
import { DnsCache } from "./backend/dns_cache.ts";
import { NameLookup } from "./backend/name_lookup.ts";
import { Pool, type PoolObserver, type PoolOptions } from "./backend/pool.ts";
import { Resolver } from "./backend/resolve.ts";
import { Checker } from "./check/checker.ts";
import { NativeClient } from "./check/native_client.ts";
import type { Configuration } from "./config/load.ts";
import { Deadlines } from "./deadline.ts";

/** When a kept connection is replaced, give or take a fifth, in milliseconds. */
const MAX_CONNECTION_AGE_MS = 300_000;

/** Told what happens between the agent and the backends. */
export interface BackendsObserver extends PoolObserver {
  countCoalesced(): void;
  countHedged(): void;
}

/** What leads to the backends and outlives changes of the configuration: connections, and known names. */
export class Backends {
  readonly #deadlines = new Deadlines();
  readonly #names = new DnsCache(new NameLookup());
  readonly #observer: BackendsObserver;
  readonly #pool: Pool;

  constructor(configuration: Configuration, observer: BackendsObserver) {
    this.#observer = observer;
    this.#pool = new Pool(poolOptions(configuration), observer, this.#deadlines);
  }

  /** @returns what checks under a configuration; connections and names are those of all the others */
  checkerFor({ settings, tlsProfiles, metadata, backendRules }: Configuration): Checker {
    const observer = this.#observer;
    const client = new NativeClient(
      this.#pool,
      this.#deadlines,
      settings.grpc_rpc_timeout_ms,
      metadata,
      () => observer.countHedged(),
    );
    return new Checker(
      {
        checkTimeoutMs: settings.check_timeout_ms,
        coalesce: settings.coalesce_checks,
        verdictMaxAgeMs: settings.verdict_max_age_ms,
      },
      client,
      new Resolver(backendRules, this.#names, settings.grpc_connect_timeout_ms / 2),
      tlsProfiles,
      this.#deadlines,
      () => observer.countCoalesced(),
    );
  }

  /** Ends the connections that another configuration would not open, or not alike, after their calls. */
  reconfigure(configuration: Configuration): void {
    const { tlsProfiles, backendRules } = configuration;
    const trusted = new Set([...tlsProfiles.values()].map(({ fingerprint }) => fingerprint));
    this.#pool.reconfigure(
      poolOptions(configuration),
      ({ host, address, port, tls }: Destination) =>
        (tls === undefined || trusted.has(tls.profile.fingerprint)) &&
        backendRules.permitted(host, port, [address]).length > 0,
    );
  }

  /** Closes all connections once the calls on them have ended. */
  close(): void {
    this.#pool.close();
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
