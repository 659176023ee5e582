import type { Destination } from "../backend/dial.ts";
import type { Verdict } from "../protocol/verdict.ts";

/** A health call to one backend. */
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
  /** How long the first that asks will wait, in milliseconds. */
  readonly askerTimeoutMs: number;
}

/** How far a health call is, for one who will wait no longer. */
export interface CheckProgress {
  /** What the backend has said already, where it is being asked once more. */
  readonly answer: Verdict | undefined;
  /** What of the agent's own it waits for, if it does: a place under `max_channels`, say. */
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

/** A health call under way. */
export interface RunningCheck {
  /** Never rejects; never settles once it is cancelled. */
  readonly verdict: Promise<Verdict>;
  /** @returns how far it is now */
  progress(): CheckProgress;
  /** Another one waits for it too, so long at most, in milliseconds. */
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
