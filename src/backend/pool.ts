import type { Deadlines } from "../deadline.ts";
import { type Call, type CallRequest, type CloseReason, Connection } from "./connection.ts";
import { type Destination, destinationKey, Dial, type DialFailure } from "./dial.ts";
import { DialLimits } from "./dial_limits.ts";
import { KeptConnections } from "./kept_connections.ts";
import {
  type Endpoint,
  type Endpoints,
  type PendingPlacement,
  type Placement,
  type PlaceOptions,
  Waiter,
} from "./placement.ts";
import type { Transport } from "./transport.ts";

/** How connections are made and kept; times in milliseconds. */
export interface PoolOptions {
  /** TCP and TLS together. */
  readonly connectTimeoutMs: number;
  /** Whether a connection is kept for the next call at all. */
  readonly keep: boolean;
  /** A connection that no call has used for so long is closed. */
  readonly idleTimeoutMs: number;
  /** Connections in all; beyond it the one that was not used for longest goes. */
  readonly maxConnections: number;
  /**
   * A kept connection is replaced when it is as old as this, give or take a fifth: what HAProxy's own new
   * connections would meet (a full accept queue, an expired certificate) must not stay hidden behind it.
   */
  readonly maxAgeMs: number;
}

/** Told what becomes of connections. */
export interface PoolObserver {
  /** A dial begins. */
  onOpened(): void;
  /** It has succeeded. @param tlsMs how long the TLS handshake took, in milliseconds; `undefined` without TLS */
  onConnected?(tlsMs: number | undefined): void;
  onClosed(reason: CloseReason): void;
}

/** Connections of one destination. Most servers need one; more help only with servers that allow few streams each. */
const MAX_CONNECTIONS_PER_DESTINATION = 16;

/** Dials to one destination at once where it has a connection: some servers serve one call a connection. */
const MAX_DIALS_PER_DESTINATION = 4;

/** With the cache off: how long a connection whose caller has gone waits for another caller, in milliseconds. */
const UNCLAIMED_MS = 5000;

/** How long dialling a destination pauses after a dial failed beside connections that work, in milliseconds. */
const DIAL_PAUSE_MS = 250;

/** How long after a failed attempt to replace a connection early another one is made, in milliseconds. */
const REPLACE_AGAIN_MS = 5000;

const CLOSED: Placement = {
  ok: false,
  failure: {
    verdict: { kind: "local", detail: "The agent is being stopped" },
    retryable: false,
  },
};

/** How many connections of a destination may still serve calls: not those that end, or give no sign of life. */
function countServing({ connections }: Endpoint): number {
  let count = 0;
  for (const { usable, silentMs } of connections) {
    if (usable && silentMs === undefined) count++;
  }
  return count;
}

/** Since when a destination's next dial has been wanted, in milliseconds of `performance.now()`. */
function wantedAt({ crowdedAt, waiting }: Endpoint): number {
  const [oldest] = waiting;
  // Those for whose sake it was crowded may have gone.
  return Math.max(crowdedAt ?? performance.now(), oldest?.since ?? performance.now());
}

/** The connections to backends: which one a call takes, and when another is made. */
export class Pool {
  readonly #observer: PoolObserver;
  readonly #deadlines: Deadlines;
  readonly #limits: DialLimits;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #connections: KeptConnections;
  /** Destinations whose dial waits for room under `maxConnections`. */
  readonly #crowded = new Set<Endpoint>();
  #options: PoolOptions;
  #isWanted: (destination: Destination) => boolean = () => true;
  /** Connections and dials. */
  #size = 0;
  readonly #forWaiters: Endpoints = {
    of: (destination) => this.#endpointOf(destination),
    serve: (endpoint) => this.#serve(endpoint),
    isCrowded: (endpoint) => this.#crowded.has(endpoint),
  };
  #closed = false;

  constructor(options: PoolOptions, observer: PoolObserver, deadlines: Deadlines) {
    this.#options = options;
    this.#observer = observer;
    this.#deadlines = deadlines;
    this.#limits = new DialLimits(deadlines);
    this.#connections = new KeptConnections(options.idleTimeoutMs, deadlines);
  }

  /**
   * Sends a call on a kept connection to one of the destinations, in their order.
   *
   * @returns the call; `undefined` where no connection can take it now
   */
  send(
    destinations: readonly Destination[],
    request: CallRequest,
    options: PlaceOptions,
  ): Call | undefined {
    for (const destination of destinations) {
      const endpoint = this.#endpoints.get(destinationKey(destination));
      const connection = endpoint && this.#freeConnection(endpoint, options);
      if (endpoint === undefined || connection === undefined) continue;
      const call = connection.call(request, options.exclusive);
      this.#called(endpoint, call);
      return call;
    }
    return undefined;
  }

  /**
   * Sends a call that {@linkcode send} could not send, as soon as a connection to one of the destinations can take
   * it. They are tried in their order, each after a failure of the one before, or a moment of its silence.
   *
   * @param destinations the addresses of one backend; at least one
   */
  place(
    destinations: readonly Destination[],
    request: CallRequest,
    options: PlaceOptions,
  ): PendingPlacement {
    return new Waiter(destinations, request, options, this.#forWaiters, this.#deadlines);
  }

  /** @returns how far the connections to a destination are; `undefined` where there is none */
  stateOf(destination: Destination): "ready" | "connecting" | undefined {
    const endpoint = this.#endpoints.get(destinationKey(destination));
    if (endpoint === undefined) return undefined;
    for (const { usable } of endpoint.connections) if (usable) return "ready";
    return endpoint.dials.size > 0 ? "connecting" : undefined;
  }

  /**
   * Puts other options in force.
   *
   * @param isWanted whether connections to a destination are still allowed; others end after their calls
   */
  reconfigure(options: PoolOptions, isWanted: (destination: Destination) => boolean): void {
    this.#options = options;
    this.#isWanted = isWanted;
    this.#connections.setIdleTimeout(options.idleTimeoutMs);
    this.#connections.endByAndBy("reload", (connection) => !this.#mayKeep(connection));
    this.#connections.makeRoom(this.#occupied - options.maxConnections);
  }

  /** Closes all connections once the calls on them have ended. */
  close(): void {
    this.#closed = true;
    this.#connections.stop();
    for (const { connections, dials } of this.#endpoints.values()) {
      for (const dial of dials) dial.abort();
      for (const connection of connections) connection.drain("unused");
    }
  }

  /** Connections and dials, without those that are being closed to make room. */
  get #occupied(): number {
    return this.#size - this.#connections.makingRoom;
  }

  #endpointOf(destination: Destination): Endpoint {
    const key = destinationKey(destination);
    const found = this.#endpoints.get(key);
    if (found !== undefined) return found;
    const endpoint = {
      key,
      destination,
      connections: new Set<Connection>(),
      dials: new Set<Dial>(),
      waiting: new Set<Waiter>(),
      pause: undefined,
      crowdedAt: undefined,
    };
    this.#endpoints.set(key, endpoint);
    return endpoint;
  }

  #freeConnection(endpoint: Endpoint, options: PlaceOptions): Connection | undefined {
    for (const connection of endpoint.connections) {
      if (connection.freeStreams > 0 && this.#suits(connection, options)) return connection;
    }
    return undefined;
  }

  #suits(connection: Connection, { openedAfter, exclusive }: PlaceOptions): boolean {
    return connection.openedAt >= openedAfter &&
      (connection.callsCarried === 0 || this.#options.keep && !exclusive);
  }

  #give(endpoint: Endpoint, connection: Connection, waiter: Waiter): void {
    const call = connection.call(waiter.request, waiter.exclusive);
    waiter.settle({ ok: true, call });
    for (const other of waiter.tried) if (other !== endpoint) this.#dropUnwantedDials(other);
    this.#called(endpoint, call);
  }

  #called(endpoint: Endpoint, { connection, sentAt }: Call): void {
    if (!this.#options.keep) connection.drain("unused");
    else if (sentAt > connection.replaceAt) this.#replace(endpoint, connection);
  }

  /** Another address has answered: dials that nobody else waits for end. */
  #dropUnwantedDials({ dials, waiting }: Endpoint): void {
    if (waiting.size > 0) return;
    for (const dial of dials) {
      dials.delete(dial);
      dial.abort();
    }
  }

  /**
   * Serves the calls that wait at a destination: by the connections there, and by dialling more. May be called from
   * within itself: a call that is sent, or a connection that is closed, serves its destination.
   */
  #serve(endpoint: Endpoint): void {
    for (const waiter of endpoint.waiting) {
      const connection = this.#freeConnection(endpoint, waiter);
      if (connection !== undefined) this.#give(endpoint, connection, waiter);
    }
    const { waiting, pause } = endpoint;
    if (this.#closed) {
      for (const waiter of [...waiting]) waiter.settle(CLOSED);
    }
    if (waiting.size === 0) this.#forgetIfEmpty(endpoint);
    else if (pause === undefined) this.#dialMore(endpoint);
  }

  #dialMore(endpoint: Endpoint): void {
    const { connections, dials } = endpoint;
    const unserved = this.#countUnserved(endpoint);
    const { keep, maxConnections } = this.#options;
    // With the cache off, each call needs a dial of its own; only max_channels bounds them.
    const mostDials = connections.size === 0 ? 1 : MAX_DIALS_PER_DESTINATION;
    const wanted = keep ? Math.min(mostDials, unserved) : unserved;
    const most = keep ? MAX_CONNECTIONS_PER_DESTINATION : Infinity;
    while (dials.size < wanted) {
      if (countServing(endpoint) + dials.size >= most) {
        if (!this.#connections.makeRoom(1, connections)) return;
        continue; // closing one has already served the waiting calls: count again
      }
      // Several at once, so that a flood of new destinations does not pay for the search each time.
      const count = Math.max(1, Math.floor(maxConnections / 64));
      if (this.#occupied >= maxConnections) {
        if (this.#connections.makeRoom(count)) continue;
        endpoint.crowdedAt ??= performance.now();
        this.#crowded.add(endpoint);
        return;
      }
      void this.#dial(endpoint);
    }
  }

  /**
   * How many calls need another connection: all but those that suit one that has not said yet how many calls
   * it takes, for it may take all of them.
   */
  #countUnserved({ connections, waiting }: Endpoint): number {
    const withoutSettings = [...connections].filter(({ hasSettings, isShared }) =>
      !hasSettings && isShared
    );
    if (withoutSettings.length === 0) return waiting.size;
    return [...waiting].filter((waiter) =>
      !withoutSettings.some((connection) => this.#suits(connection, waiter))
    ).length;
  }

  /** @returns why it has failed, if it has */
  async #dial(endpoint: Endpoint): Promise<DialFailure | undefined> {
    const { destination, dials } = endpoint;
    const { connectTimeoutMs } = this.#options;
    this.#size++;
    this.#observer.onOpened();
    const queuedAt = wantedAt(endpoint);
    const dial = new Dial(destination, connectTimeoutMs, this.#limits, this.#deadlines, queuedAt);
    endpoint.crowdedAt = undefined;
    dials.add(dial);
    const dialled = await dial.result;
    const wanted = dials.delete(dial);
    if (dialled.ok) {
      this.#observer.onConnected?.(dialled.tlsMs);
      this.#keep(endpoint, dialled.transport);
      return undefined;
    }
    this.#gone("peer");
    if (wanted) this.#dialFailed(endpoint, dial, dialled.failure);
    this.#forgetIfEmpty(endpoint);
    return dialled.failure;
  }

  #keep(endpoint: Endpoint, transport: Transport): void {
    const connection = new Connection(endpoint.destination, transport, {
      onFree: () => {
        if (endpoint.waiting.size > 0) this.#serve(endpoint);
        if (this.#crowded.size > 0 && connection.callsUnderWay === 0) this.#serveCrowded();
      },
      onUnusable: () => {
        if (endpoint.waiting.size > 0) this.#serve(endpoint);
      },
      onClosed: (reason) => {
        endpoint.connections.delete(connection);
        this.#connections.delete(connection, reason);
        this.#gone(reason);
        this.#serve(endpoint);
      },
    }, this.#deadlines);
    const { keep, maxAgeMs } = this.#options;
    connection.expiresAt = connection.openedAt + maxAgeMs * (0.8 + 0.4 * Math.random());
    connection.replaceAt = connection.expiresAt;
    endpoint.connections.add(connection);
    this.#connections.add(connection);
    if (this.#closed) connection.drain("unused");
    this.#serve(endpoint);
    // It was dialled before a reload, for calls that end as they began.
    if (keep && !this.#mayKeep(connection)) connection.drain("reload");
    if (keep) {
      // Otherwise other checks would wait in vain for a connection whose server says nothing.
      this.#deadlines.set(() => {
        if (!connection.hasSettings) connection.drain("silent");
      }, this.#options.connectTimeoutMs);
    }
    if (keep || connection.callsCarried > 0) return;
    this.#deadlines.set(() => {
      if (connection.callsCarried === 0) connection.drain("unused");
    }, UNCLAIMED_MS);
  }

  #dialFailed(endpoint: Endpoint, dial: Dial, failure: DialFailure): void {
    // A failed dial does not count while other connections work: the calls wait for one of those.
    const working = [...endpoint.connections].filter(({ isShared }) => isShared);
    if (working.length > 0) {
      endpoint.pause ??= this.#deadlines.set(() => {
        endpoint.pause = undefined;
        this.#serve(endpoint);
      }, DIAL_PAUSE_MS);
    }
    if (endpoint.dials.size > 0) return;
    for (const waiter of [...endpoint.waiting]) {
      if (working.some((connection) => this.#suits(connection, waiter))) continue;
      // A timed-out dial says nothing to a call that came after it began: the backend may be back, and a new dial
      // will tell.
      const cameLater = failure.verdict.kind === "timeout" && waiter.since > dial.begunAt;
      if (!cameLater) waiter.fail(endpoint, failure);
    }
    this.#serve(endpoint);
  }

  #gone(reason: CloseReason): void {
    this.#size--;
    this.#observer.onClosed(reason);
    if (this.#crowded.size > 0) this.#serveCrowded();
  }

  #forgetIfEmpty(endpoint: Endpoint): void {
    const { key, connections, dials, waiting, pause } = endpoint;
    if (connections.size + dials.size + waiting.size > 0 || pause !== undefined) return;
    // Another endpoint may have taken its place while a dial that nobody wanted was being ended.
    if (this.#endpoints.get(key) === endpoint) this.#endpoints.delete(key);
    this.#crowded.delete(endpoint);
  }

  #serveCrowded(): void {
    for (const endpoint of this.#crowded) {
      this.#crowded.delete(endpoint);
      this.#serve(endpoint);
      if (this.#crowded.has(endpoint)) return;
    }
  }

  /** Makes a new connection first; the old one goes on answering until that has succeeded or failed. */
  #replace(endpoint: Endpoint, connection: Connection): void {
    connection.replaceAt = Infinity;
    void this.#dial(endpoint).then((failure) => {
      const now = performance.now();
      const isOld = now >= connection.expiresAt;
      if (failure === undefined) connection.drain(isOld ? "age" : "changed");
      // The agent lacked something: keep the old one, and try again at the next call.
      else if (failure.verdict.kind === "local") connection.replaceAt = now;
      // Only some calls may have failed on it: others may still be served.
      else if (!isOld) {
        connection.replaceAt = Math.min(connection.expiresAt, now + REPLACE_AGAIN_MS);
      } else connection.drain("age");
    });
  }

  #mayKeep({ destination }: Connection): boolean {
    return this.#options.keep && this.#isWanted(destination);
  }
}
