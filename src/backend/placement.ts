import type { Deadline, Deadlines } from "../deadline.ts";
import type { Call, CallRequest, Connection } from "./connection.ts";
import { type Destination, type Dial, type DialFailure, TIMEOUT_REASONS } from "./dial.ts";

/** A call that has been sent, or why there is no connection for it. */
export type Placement =
  | { readonly ok: true; readonly call: Call }
  | { readonly ok: false; readonly failure: DialFailure };

/** Which connection a call may take. */
export interface PlaceOptions {
  /** Only one opened after this moment of `performance.now()`. */
  readonly openedAfter: number;
  /** Whether only one that has carried no call, and that takes no other beside this one. */
  readonly exclusive: boolean;
}

/** A call that waits for a connection. */
export interface PendingPlacement {
  /** Never settles after {@linkcode leave}. */
  readonly placed: Promise<Placement>;
  /** What it waits for, for the reason of a timeout. */
  readonly waitsFor: string;
  /** What it waits for that the agent itself lacks, if so. */
  readonly waitsForAgent: string | undefined;
  /** Stops waiting. Dials go on: the next call finds their connections. Idempotent. */
  leave(): void;
}

/** How long one address of a name is tried before the next one is tried beside it, in milliseconds (RFC 8305). */
const NEXT_ADDRESS_MS = 250;

/**
 * A dial that has waited for so long before it began, in milliseconds, makes the check `local`. A thousand dials wait for
 * less, so a thousand silent backends are still `down`.
 */
const MAX_QUEUED_MS = 1000;

/** One destination's connections, dials, and the calls that wait for them. */
export interface Endpoint {
  readonly key: string;
  readonly destination: Destination;
  readonly connections: Set<Connection>;
  readonly dials: Set<Dial>;
  readonly waiting: Set<Waiter>;
  /** The end of a pause in dialling. */
  pause: Deadline | undefined;
  /** Since when its next dial has waited for room under {@linkcode PoolOptions.maxConnections}. */
  crowdedAt: number | undefined;
}

/** What a {@linkcode Waiter} needs of its pool. */
export interface Endpoints {
  of(destination: Destination): Endpoint;
  /** Sends calls that wait there, or dials for them. */
  serve(endpoint: Endpoint): void;
  /** Whether its next dial waits for room under {@linkcode PoolOptions.maxConnections}. */
  isCrowded(endpoint: Endpoint): boolean;
}

/** A call that waits for a connection to one of its backend's addresses. */
export class Waiter implements PendingPlacement {
  readonly placed: Promise<Placement>;
  readonly request: CallRequest;
  readonly openedAfter: number;
  readonly exclusive: boolean;
  /** In milliseconds of `performance.now()`. */
  readonly since = performance.now();
  /** The endpoints where it waits or has waited. */
  readonly tried = new Set<Endpoint>();
  readonly #untried: Destination[];
  readonly #endpoints: Endpoints;
  readonly #deadlines: Deadlines;
  readonly #resolve: (placement: Placement) => void;
  #next: Deadline | undefined;
  /** The failure at an address that could not be tried, since the agent itself lacked something. */
  #untriable: DialFailure | undefined;
  #settled = false;

  /** Begins to wait at the first address. */
  constructor(
    destinations: readonly Destination[],
    request: CallRequest,
    { openedAfter, exclusive }: PlaceOptions,
    endpoints: Endpoints,
    deadlines: Deadlines,
  ) {
    this.request = request;
    this.openedAfter = openedAfter;
    this.exclusive = exclusive;
    this.#untried = [...destinations];
    this.#endpoints = endpoints;
    this.#deadlines = deadlines;
    const { promise, resolve } = Promise.withResolvers<Placement>();
    this.placed = promise;
    this.#resolve = resolve;
    this.#tryNext();
  }

  get waitsFor(): string {
    for (const { dials } of this.tried) {
      for (const { phase } of dials) return TIMEOUT_REASONS[phase];
    }
    return "No connection could take the call in time";
  }

  get waitsForAgent(): string | undefined {
    for (const endpoint of this.tried) {
      const { dials } = endpoint;
      if (dials.size === 0 && this.#endpoints.isCrowded(endpoint)) {
        return "All connections that max_channels allows are in use";
      }
      for (const { begunAt, queuedAt } of dials) {
        if (Math.min(begunAt, performance.now()) - queuedAt >= MAX_QUEUED_MS) {
          return "The agent had too many connections to make at once";
        }
      }
    }
    return undefined;
  }

  /** Tells that a dial has failed at an endpoint, and nothing else is under way there. */
  fail(endpoint: Endpoint, failure: DialFailure): void {
    if (failure.verdict.kind === "local") this.#untriable = failure;
    endpoint.waiting.delete(this);
    if (this.#settled || this.#tryNext()) return;
    for (const { waiting } of this.tried) if (waiting.has(this)) return;
    // A lack of the agent's own counts first: the backend may be up at the address that could not be tried.
    const { retryable } = failure;
    this.settle({ ok: false, failure: { ...this.#untriable ?? failure, retryable } });
  }

  settle(placement: Placement): void {
    this.leave();
    this.#resolve(placement);
  }

  leave(): void {
    this.#settled = true;
    this.#next?.cancel();
    for (const { waiting } of this.tried) waiting.delete(this);
  }

  /** @returns whether there was another address to try */
  #tryNext(): boolean {
    this.#next?.cancel();
    const destination = this.#untried.shift();
    if (destination === undefined) return false;
    if (this.#untried.length > 0) {
      this.#next = this.#deadlines.set(() => this.#tryNext(), NEXT_ADDRESS_MS);
    }
    const endpoint = this.#endpoints.of(destination);
    this.tried.add(endpoint);
    endpoint.waiting.add(this);
    this.#endpoints.serve(endpoint);
    return true;
  }
}
