import { Metadata } from "@grpc/grpc-js";
import type { Configuration } from "../config/load.ts";
import type { Metrics } from "../observe/metrics.ts";
import { ChannelPool } from "./channel_pool.ts";
import { Checker } from "./checker.ts";
import type { KnownNames } from "./known_names.ts";
import { Resolver } from "./resolve.ts";

/**
 * Builds the checker of a configuration.
 *
 * @param metrics shows the number of open channels, and counts checks that share an RPC
 * @param names what is known of names already
 * @returns it, and the channels that it uses, to be closed after it
 */
export function buildChecker(
  configuration: Configuration,
  metrics: Metrics,
  names: KnownNames,
): { readonly checker: Checker; readonly pool: ChannelPool } {
  const { settings, tlsProfiles, metadata, backendRules } = configuration;
  const rpcMetadata = new Metadata();
  for (const [name, value] of metadata) rpcMetadata.set(name, value);
  const connectTimeoutMs = Math.min(settings.grpc_connect_timeout_ms, settings.check_timeout_ms);
  const pool = new ChannelPool(
    {
      connectTimeoutMs,
      keep: settings.grpc_channel_cache_enabled,
      idleTimeoutMs: settings.channel_idle_timeout_ms,
      maxChannels: settings.max_channels,
      metadata: rpcMetadata,
      watch: undefined,
    },
    new Resolver(backendRules, names, connectTimeoutMs / 2),
    metrics.channels,
  );
  const options = {
    checkTimeoutMs: settings.check_timeout_ms,
    rpcTimeoutMs: settings.grpc_rpc_timeout_ms,
    coalesce: settings.coalesce_checks,
    watch: false,
  };
  const checker = new Checker(options, pool, tlsProfiles, () => metrics.countCoalesced());
  return { checker, pool };
}
