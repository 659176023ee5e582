import { connectivityState, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { isIP } from "node:net";
import { formatHostPort } from "../protocol/host.ts";
import { BackendCredentials, type BackendTls } from "./backend_credentials.ts";
import { type ConnectFailure, connectFailure, connectTimeout } from "./connect_failure.ts";
import { ConnectProgress, type ConnectTimings } from "./connect_progress.ts";
import { setDeadline } from "./deadline.ts";
import { FloodGuard, MAX_REPLY_BYTES } from "./flood_guard.ts";
import { HealthClient } from "./health_client.ts";
import { PINNED_ADDRESSES, PINNED_SCHEME, type PinnedAddress } from "./pinned_resolver.ts";
import type { Resolver } from "./resolve.ts";
import type { RpcOutcome } from "./rpc_outcome.ts";
import { openWatchStream } from "./watch_stream.ts";
import { Watches, type WatchOptions } from "./watches.ts";

/** Where a channel leads and what it says there. */
export interface ChannelTarget {
  readonly host: string;
  readonly port: number;
  readonly authority: string;
  readonly tls: BackendTls | undefined;
}

/** How far a channel is. */
export type ChannelState = "connecting" | "ready" | "closed";

/**
 * A closed connection gets this long to say goodbye (TLS close_notify, FIN), in milliseconds;
 * then its socket is destroyed. A frozen peer would hold it for ever.
 */
const GOODBYE_MS = 1000;

/** Services of which SERVING is remembered; of others no change is noticed. */
const MAX_SERVED = 1000;

/**
 * Into how many turns the time to connect is divided at most: a server that needs a while for TLS and
 * SETTINGS must get it however many addresses its name has.
 */
const MAX_TURNS = 3;

const FLOODS = "The peer sends without end";

const GRPC_OPTIONS = {
  // With retries on, grpc-js retries without end (and without letting a timer fire) a call that a server
  // refuses by a GOAWAY in its first segment.
  "grpc.enable_retries": 0,
  "grpc.enable_channelz": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  // Each channel owns its connection, and closing the one frees the other.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.max_receive_message_length": MAX_REPLY_BYTES,
  "grpc.primary_user_agent": "haproxy-grpc-agent",
};

/**
 * One connection to one backend, from the first look-up of its name to its end: connecting, then ready,
 * then closed, never back. grpc-js would connect again by itself, with a growing back-off, and answer
 * from memory meanwhile; here whoever finds a channel closed opens a new one, at once.
 */
export class Channel {
  /** When it was opened, in milliseconds of `performance.now()`. */
  readonly openedAt = performance.now();
  /** Settles when the connection is ready (`undefined`) or why it is not; never rejects. */
  readonly connected: Promise<ConnectFailure | undefined>;
  /** What is watched on it; `undefined` when nothing is to be. */
  readonly watches: Watches | undefined;

  readonly #target: ChannelTarget;
  readonly #connectTimeoutMs: number;
  readonly #resolver: Resolver;
  readonly #onClosed: (channel: Channel) => void;
  readonly #metadata: Metadata;
  readonly #progress = new ConnectProgress();
  readonly #flood = new FloodGuard();
  readonly #served = new Set<string>();
  #dials: { readonly host: string; readonly controller: AbortController }[] = [];
  #client: HealthClient | undefined;
  #state: ChannelState = "connecting";
  #settleConnected: (failure: ConnectFailure | undefined) => void = () => {};
  #rpcsUnderWay = 0;

  /**
   * @param connectTimeoutMs how long the look-up, TCP, TLS and HTTP/2's SETTINGS may take together
   * @param metadata what each RPC carries along
   * @param watch how services are watched on it; `undefined` for not at all
   * @param onClosed called once, when the channel is no longer to be used
   */
  constructor(
    target: ChannelTarget,
    connectTimeoutMs: number,
    resolver: Resolver,
    metadata: Metadata,
    watch: WatchOptions | undefined,
    onClosed: (channel: Channel) => void,
  ) {
    this.#target = target;
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#resolver = resolver;
    this.#metadata = metadata;
    this.#onClosed = onClosed;
    this.watches = watch === undefined
      ? undefined
      : new Watches(watch, this.#openStream.bind(this), () => performance.now());
    this.connected = new Promise((resolve) => {
      const cancelDeadline = setDeadline(() => {
        this.#fail(connectTimeout(this.#progress));
      }, connectTimeoutMs);
      this.#settleConnected = (failure) => {
        cancelDeadline();
        resolve(failure);
      };
    });
    this.#open().catch((error) => this.#fail({ kind: "internal", error }));
  }

  /** How far it is. */
  get state(): ChannelState {
    return this.#state;
  }

  /** Whether it is connected and not closed. */
  get ready(): boolean {
    return this.#state === "ready";
  }

  /** Whether the backend has said SERVING of a service on this connection. */
  hasServed(service: string): boolean {
    return this.#served.has(service);
  }

  /** How long the steps of connecting took. */
  get connectTimings(): ConnectTimings {
    return this.#progress.timings;
  }

  /**
   * Runs `Health/Check`. Only to be called after {@linkcode connected} has said `undefined`.
   *
   * @param service the service asked about; empty for the server as a whole
   * @param timeoutMs the RPC's deadline from now; also sent to the server
   * @param signal cancels the RPC
   * @returns how it ended; never rejects
   */
  check(service: string, timeoutMs: number, signal: AbortSignal): Promise<RpcOutcome> {
    const client = this.#client;
    if (client === undefined || this.#state !== "ready" || signal.aborted) {
      const detail = "The connection was closed";
      return Promise.resolve({
        ok: false,
        code: status.UNAVAILABLE,
        detail,
        timedOut: false,
        connectionLost: true,
      });
    }
    this.#rpcsUnderWay++;
    const begunAt = performance.now();
    const metadata = this.#metadata.clone();
    // By hand: with a deadline of its own grpc-js would end the call by a timer that cannot be put off.
    metadata.set("grpc-timeout", `${Math.ceil(timeoutMs)}m`);
    return new Promise((resolve) => {
      let late = false;
      const call = client.check({ service }, metadata, {}, (error, response) => {
        cancelDeadline();
        signal.removeEventListener("abort", cancel);
        this.#rpcsUnderWay--;
        if (this.#state === "closed" && this.#rpcsUnderWay === 0) this.#release();
        this.#flood.rpcEnded();
        if (error === null) {
          const said = String(response?.status ?? "UNKNOWN");
          if (said === "SERVING" && this.#served.size < MAX_SERVED) this.#served.add(service);
          resolve({ ok: true, status: said });
        } else {
          // The server has the same deadline, and its word of it may come a moment before ours.
          const timedOut = late ||
            error.code === status.DEADLINE_EXCEEDED &&
              performance.now() - begunAt > timeoutMs * 0.9;
          // grpc-js reports the end of a stream before the end of its session.
          setImmediate(() => resolve(this.#failedRpc(error, timedOut)));
        }
      });
      const cancel = () => call.cancel();
      const cancelDeadline = setDeadline(() => {
        late = true;
        cancel();
      }, timeoutMs);
      signal.addEventListener("abort", cancel, { once: true });
    });
  }

  /**
   * Looks its name up again, and closes when that leads elsewhere now: the old server may live on, while
   * HAProxy has long followed the name to the new one. Never rejects.
   */
  async followName(): Promise<void> {
    const { host, port } = this.#target;
    const [connected] = this.#dials;
    if (isIP(host) !== 0 || !this.ready || connected === undefined) return;
    const resolution = await this.#resolver.resolve(host, port);
    const leadsElsewhere = resolution.ok
      ? !resolution.addresses.includes(connected.host)
      : resolution.verdict.kind === "denied";
    if (leadsElsewhere) this.close();
  }

  /**
   * No new RPC; those under way end by themselves, then the connection is closed. Streams, which would
   * not end, are ended. Idempotent.
   */
  close(): void {
    if (this.#state === "closed") return;
    const wasReady = this.#state === "ready";
    this.#state = "closed";
    this.watches?.close();
    this.#settleConnected({ kind: "unreachable", detail: "The channel was closed" });
    this.#onClosed(this);
    if (!wasReady) {
      this.#abortDials();
      this.#client?.close();
    } else if (this.#rpcsUnderWay === 0) {
      this.#release();
    }
  }

  async #open(): Promise<void> {
    const { host, port, authority, tls } = this.#target;
    const resolution = await this.#resolver.resolve(host, port);
    if (this.#state === "closed") return;
    if (!resolution.ok) {
      this.#fail(resolution.verdict);
      return;
    }
    this.#progress.enter("connect");
    this.#dials = resolution.addresses.map((address) => ({
      host: address,
      controller: new AbortController(),
    }));
    const addresses = this.#dials.map((dial): PinnedAddress => ({
      host: dial.host,
      port,
      signal: dial.controller.signal,
    }));
    this.#client = new HealthClient(
      `${PINNED_SCHEME}:${formatHostPort(host, port)}`,
      new BackendCredentials(
        tls,
        this.#progress,
        this.#connectTimeoutMs / Math.min(addresses.length, MAX_TURNS),
        (count) => this.#admitBytes(count),
      ),
      { ...GRPC_OPTIONS, "grpc.default_authority": authority, [PINNED_ADDRESSES]: addresses },
    );
    this.#follow(this.#client);
  }

  #failedRpc(error: ServiceError, timedOut: boolean): RpcOutcome {
    // An answer that grpc-js can make no sense of has no code, or NaN, and no details.
    const readable = Number.isInteger(error.code);
    const code = readable ? error.code : status.UNKNOWN;
    const given = readable ? error.details : "The answer makes no sense in gRPC";
    // A reply that is too long ends the call first, and then perhaps the connection.
    const connectionLost = !this.ready && code !== status.RESOURCE_EXHAUSTED;
    const detail = connectionLost && this.#flood.flooded ? FLOODS : given;
    return { ok: false, code, detail, timedOut, connectionLost };
  }

  #openStream(service: string, onStatus: (status: string) => void, onEnd: () => void): () => void {
    const client = this.#client;
    if (client === undefined || this.#state !== "ready") return () => {};
    return openWatchStream(client, service, this.#metadata, onStatus, onEnd);
  }

  #admitBytes(count: number): boolean {
    if (!this.#flood.count(count, this.#rpcsUnderWay)) return true;
    this.#fail({ kind: "unreachable", detail: FLOODS });
    this.#abortDials();
    return false;
  }

  /** Follows grpc-js's channel through CONNECTING to READY, and on to its end. */
  #follow(client: HealthClient): void {
    if (this.#state === "closed") return;
    const channel = client.getChannel();
    const state = channel.getConnectivityState(this.#state === "connecting");
    if (state === connectivityState.TRANSIENT_FAILURE) {
      this.#failFromMemory(client);
      return;
    }
    if (state === connectivityState.READY) {
      this.#state = "ready";
      this.#progress.enter();
      this.#abortLosers();
      this.#settleConnected(undefined);
    } else if (this.#state === "ready") {
      this.close(); // GOAWAY, reset, end of stream
      return;
    }
    channel.watchConnectivityState(state, Infinity, () => this.#follow(client));
  }

  /** A call on a channel in TRANSIENT_FAILURE ends at once, with the error that brought it there. */
  #failFromMemory(client: HealthClient): void {
    client.check({ service: "" }, new Metadata(), {}, (error) => {
      this.#fail(connectFailure(error?.details ?? "", this.#progress, this.#target.tls?.profile));
    });
  }

  #fail(failure: ConnectFailure): void {
    if (this.#state === "connecting") this.#progress.enter();
    this.#settleConnected(failure); // before close() does, since the first counts
    this.close();
  }

  #release(): void {
    this.#client?.close();
    setTimeout(() => this.#abortDials(), GOODBYE_MS).unref();
  }

  /** Of several addresses one is connected; grpc-js leaves the others connecting. */
  #abortLosers(): void {
    const winner = this.#dials.find((dial) => dial.host === this.#progress.address);
    if (winner === undefined) return;
    for (const dial of this.#dials) if (dial !== winner) dial.controller.abort();
    this.#dials = [winner];
  }

  #abortDials(): void {
    for (const dial of this.#dials) dial.controller.abort();
  }
}
