import type { CallRequest, CloseReason } from "../../../src/backend/connection.ts";
import type { Destination } from "../../../src/backend/dial.ts";
import type { PendingPlacement, PlaceOptions } from "../../../src/backend/placement.ts";
import { Pool, type PoolOptions } from "../../../src/backend/pool.ts";
import { Deadlines } from "../../../src/deadline.ts";
import { encodeHealthCall } from "../../../src/grpc/request.ts";
import type { StreamEnd } from "../../../src/http2/stream.ts";
import { eventually } from "../testing/eventually.ts";
import { nextTurn } from "./next_turn.ts";

/** A destination on loopback. */
export function at(port: number, address = "127.0.0.1"): Destination {
  return { host: address, address, port, tls: undefined };
}

/** Of a call that any connection may take. */
export const ANY_CONNECTION: PlaceOptions = { openedAfter: -Infinity, exclusive: false };

/** A pool, and what becomes of its connections; at the end all of them must be closed. */
export class PoolLab implements AsyncDisposable {
  readonly deadlines = new Deadlines(nextTurn);
  readonly pool: Pool;
  /** Connections and dials that were begun. */
  opened = 0;
  /** Why they ended, in the order in which they did. */
  readonly closed: CloseReason[] = [];

  constructor(options: Partial<PoolOptions> = {}) {
    this.pool = new Pool(
      {
        connectTimeoutMs: 5000,
        keep: true,
        idleTimeoutMs: 60_000,
        maxConnections: 100,
        maxAgeMs: 60_000,
        ...options,
      },
      { onOpened: () => this.opened++, onClosed: (reason) => this.closed.push(reason) },
      this.deadlines,
    );
  }

  /** Has a health call wait for a connection. @param onEnd told how it ended */
  place(
    destinations: readonly Destination[],
    options: Partial<PlaceOptions> = {},
    onEnd: (end: StreamEnd) => void = () => {},
  ): PendingPlacement {
    return this.pool.place(destinations, healthCall(onEnd), { ...ANY_CONNECTION, ...options });
  }

  /** Makes a health call. @returns how it ended, or why it was not made */
  async call(
    destinations: readonly Destination[],
    options: Partial<PlaceOptions> = {},
  ): Promise<string> {
    const { promise: ended, resolve } = Promise.withResolvers<StreamEnd>();
    const request = healthCall(resolve);
    const placeOptions = { ...ANY_CONNECTION, ...options };
    if (this.pool.send(destinations, request, placeOptions) === undefined) {
      const placement = await this.pool.place(destinations, request, placeOptions).placed;
      if (!placement.ok) return placement.failure.verdict.kind;
    }
    return (await ended).kind;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pool.close();
    await eventually("the end of all connections", () => this.closed.length === this.opened);
    this.deadlines.close();
  }
}

/** A health call of the service "". */
export function healthCall(onEnd: (end: StreamEnd) => void): CallRequest {
  const call = encodeHealthCall({ authority: "api", tls: false, service: "" }, new Map());
  return { content: call, headerBlock: () => call.headerBlock(1000), onEnd };
}
