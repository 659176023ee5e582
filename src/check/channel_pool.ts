import type { Metadata } from "@grpc/grpc-js";
import type { Gauge } from "../observe/metrics.ts";
import type { BackendQuestion } from "../protocol/backend_key.ts";
import { Channel, type ChannelState, type ChannelTarget } from "./channel.ts";
import type { Resolver } from "./resolve.ts";
import type { WatchOptions } from "./watches.ts";

/** How channels are made and kept. */
export interface ChannelPoolOptions {
  /** How long making a connection may take, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Whether a channel is kept for the next check at all. */
  readonly keep: boolean;
  /** A channel that no check has used for so long is closed, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** How many are kept; the least recently used one goes. */
  readonly maxChannels: number;
  /** What each RPC carries along. */
  readonly metadata: Metadata;
  /** How services are watched on a channel; `undefined` for not at all. */
  readonly watch: WatchOptions | undefined;
}

/**
 * `shared` is the connection that is kept, connecting or ready, or else a new one; `own` is for one task
 * alone.
 */
export type ConnectionUse = "shared" | "own";

interface Kept {
  readonly key: string;
  readonly channel: Channel;
  users: number;
  lastUsedAt: number;
}

/**
 * The channels. One is kept per host, port, TLS profile and authority: a second authority on the same
 * address must not inherit the connection of the first.
 */
export class ChannelPool {
  readonly #options: ChannelPoolOptions;
  readonly #resolver: Resolver;
  readonly #active: Gauge;
  /** Least recently used first. */
  readonly #kept = new Map<string, Kept>();
  readonly #sweep: ReturnType<typeof setInterval>;
  #closed = false;

  /** @param active shows the number of channels that are not closed */
  constructor(options: ChannelPoolOptions, resolver: Resolver, active: Gauge) {
    this.#options = options;
    this.#resolver = resolver;
    this.#active = active;
    const sweepMs = Math.min(options.idleTimeoutMs / 2, 30_000);
    this.#sweep = setInterval(() => {
      this.#closeIdle();
      for (const { channel } of this.#kept.values()) void channel.followName();
    }, sweepMs);
    this.#sweep.unref();
  }

  /**
   * Runs a task with a channel to a target, which stays open until the task ends, whatever becomes of its
   * place here.
   */
  async use<Result>(
    target: ChannelTarget,
    connection: ConnectionUse,
    task: (channel: Channel) => Promise<Result>,
  ): Promise<Result> {
    const key = keyOf(target, target.tls?.profile.name);
    const kept = connection === "own" ? this.#open(key, target) : this.#find(key, target);
    kept.users++;
    try {
      return await task(kept.channel);
    } finally {
      kept.users--;
      kept.lastUsedAt = performance.now();
      this.#closeUnlessKept(kept);
    }
  }

  /**
   * Looks for an answer that needs no RPC.
   *
   * @returns the status that a stream on the kept channel has told, if that may be answered with
   */
  recall(target: ChannelTarget, service: string): string | undefined {
    const kept = this.#kept.get(keyOf(target, target.tls?.profile.name));
    const status = kept?.channel.watches?.recall(service);
    if (kept !== undefined && status !== undefined) kept.lastUsedAt = performance.now();
    return status;
  }

  /** @returns how far the kept channel is on which such a question would be asked, if there is one */
  stateFor(question: BackendQuestion): ChannelState | undefined {
    const key = keyOf(question, question.tls ? question.tlsProfile : undefined);
    return this.#kept.get(key)?.channel.state;
  }

  /** Closes all channels, those in use at the end of their tasks. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#sweep);
    for (const kept of this.#kept.values()) this.#drop(kept);
  }

  #find(key: string, target: ChannelTarget): Kept {
    const found = this.#kept.get(key) ?? this.#open(key, target);
    if (!this.#options.keep || this.#closed) return found;
    this.#kept.delete(key);
    this.#kept.set(key, found);
    const [oldest] = this.#kept.values();
    if (this.#kept.size > this.#options.maxChannels && oldest !== undefined) this.#drop(oldest);
    return found;
  }

  #open(key: string, target: ChannelTarget): Kept {
    const { connectTimeoutMs, metadata, watch } = this.#options;
    const channel = new Channel(target, connectTimeoutMs, this.#resolver, metadata, watch, () => {
      this.#active.dec();
      if (this.#kept.get(key)?.channel === channel) this.#kept.delete(key);
    });
    this.#active.inc();
    return { key, channel, users: 0, lastUsedAt: performance.now() };
  }

  #drop(kept: Kept): void {
    this.#kept.delete(kept.key);
    this.#closeUnlessKept(kept);
  }

  #closeUnlessKept(kept: Kept): void {
    if (kept.users === 0 && this.#kept.get(kept.key) !== kept) kept.channel.close();
  }

  #closeIdle(): void {
    const longAgo = performance.now() - this.#options.idleTimeoutMs;
    for (const kept of this.#kept.values()) {
      if (kept.users === 0 && kept.lastUsedAt < longAgo) this.#drop(kept);
    }
  }
}

/** @param tlsProfile `undefined` without TLS; its name may be empty */
function keyOf(
  { host, port, authority }: Pick<ChannelTarget, "host" | "port" | "authority">,
  tlsProfile: string | undefined,
): string {
  const flag = tlsProfile === undefined ? "no-ssl" : `ssl=${tlsProfile}`;
  return `${flag} ${host} ${port} ${authority}`;
}
