import type { Destination } from "../backend/dial.ts";
import type { Verdict } from "../protocol/verdict.ts";

/** One health check for a client to make. */
export interface HealthCheck {
  /** The addresses of the backend, in the order of preference; at least one. */
  readonly destinations: readonly Destination[];
  readonly authority: string;
  /** Empty for the server as a whole. */
  readonly service: string;
  /** When it begins, in milliseconds of `performance.now()`. */
  readonly at: number;
  /** Time for all of it, in milliseconds. */
  readonly timeoutMs: number;
  /** How long the client that asks first will wait, in milliseconds. */
  readonly askerTimeoutMs: number;
}

/** How far a health check is: what is said of it to a client that will wait no longer. */
export interface CheckProgress {
  /** What the backend has said already, where it is being asked once more. */
  readonly answer: Verdict | undefined;
  /** What it waits for that the agent itself lacks, if so: room under `max_channels`, say. */
  readonly lack: string | undefined;
  /** What else it waits for, for the reason of a timeout. */
  readonly waitsFor: string;
}

/** Told how checks are made. */
export interface CheckObserver {
  /** A check shares the RPC of another. */
  onCoalesced(): void;
  /** A call is made on a second connection, since the first is silent. */
  onHedged(): void;
}

/** A health check under way. */
export interface RunningCheck {
  /** Never rejects; never settles once it is cancelled. */
  readonly verdict: Promise<Verdict>;
  /** @returns how far it is now */
  progress(): CheckProgress;
  /** Another client waits for it too, for `askerTimeoutMs` milliseconds at most. */
  joined(askerTimeoutMs: number): void;
  /** Nobody waits for it any more. Idempotent. */
  cancel(): void;
}

/** What is said of a call whose time is up, with either client. */
export const RPC_TIMED_OUT = "The RPC did not end in time";
export const RPC_HELD_UP = "The agent was held up while the RPC was under way";

/** A client of grpc.health.v1.Health. */
export interface HealthClient {
  check(check: HealthCheck): RunningCheck;
  /** How far the connections to a destination are; `undefined` where there is none. */
  stateOf(destination: Destination): "ready" | "connecting" | undefined;
}
