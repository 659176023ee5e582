import type { Gauge } from "../observe/metrics.ts";
import { Channel, type ChannelTarget } from "./channel.ts";
import type { Resolver } from "./resolve.ts";

/** How channels are kept. */
export interface ChannelPoolOptions {
  /** How long making a connection may take, in milliseconds. */
  readonly connectTimeoutMs: number;
}

/**
 * The open channels, one per host, port, TLS profile and authority: a second authority on the same
 * address must not inherit the connection of the first.
 */
export class ChannelPool {
  readonly #options: ChannelPoolOptions;
  readonly #resolver: Resolver;
  readonly #active: Gauge;
  readonly #channels = new Map<string, Channel>();

  /** @param active shows the number of channels that are not closed */
  constructor(options: ChannelPoolOptions, resolver: Resolver, active: Gauge) {
    this.#options = options;
    this.#resolver = resolver;
    this.#active = active;
  }

  /** @returns the channel to this target, connecting or ready; a new one where there is none */
  acquire(target: ChannelTarget): Channel {
    const key = keyOf(target);
    const kept = this.#channels.get(key);
    if (kept !== undefined) return kept;
    const channel = new Channel(target, this.#options.connectTimeoutMs, this.#resolver, () => {
      this.#active.dec();
      if (this.#channels.get(key) === channel) this.#channels.delete(key);
    });
    this.#active.inc();
    this.#channels.set(key, channel);
    return channel;
  }

  /** Closes all channels. RPCs under way end by themselves. */
  close(): void {
    for (const channel of [...this.#channels.values()]) channel.close();
  }
}

function keyOf({ host, port, authority, tls }: ChannelTarget): string {
  return `${tls === undefined ? "no-ssl" : "ssl"} ${host} ${port} ${authority}`;
}
