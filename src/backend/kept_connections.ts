import type { Deadline, Deadlines } from "../deadline.ts";
import { UnorderedSet } from "../unordered_set.ts";
import type { CloseReason, Connection } from "./connection.ts";

/** Idle connections are looked for at least this often, in milliseconds. */
const MAX_SWEEP_MS = 30_000;

/** So many connections are ended at once, and the next ones after a pause: with TLS, each takes half a millisecond. */
const ENDED_AT_ONCE = 16;
const PAUSE_IN_ENDING_MS = 20;

/** All connections of a pool: ends those that are idle, not wanted any more, or in the way of others. */
export class KeptConnections {
  /** Many destinations have no connection, but calls that wait for one: so they are kept apart from those. */
  readonly #all = new UnorderedSet<Connection>();
  readonly #deadlines: Deadlines;
  #idleTimeoutMs: number;
  #sweep: Deadline;
  #makingRoom = 0;

  /** @param idleTimeoutMs a connection that no call has used for so long is ended, in milliseconds */
  constructor(idleTimeoutMs: number, deadlines: Deadlines) {
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#deadlines = deadlines;
    this.#sweep = this.#scheduleSweep();
  }

  /** How many are being closed to make room. */
  get makingRoom(): number {
    return this.#makingRoom;
  }

  add(connection: Connection): void {
    this.#all.add(connection);
  }

  /** To be called when one is closed. */
  delete(connection: Connection, reason: CloseReason): void {
    this.#all.delete(connection);
    if (reason === "limit") this.#makingRoom--;
  }

  setIdleTimeout(ms: number): void {
    this.#idleTimeoutMs = ms;
    this.#sweep.cancel();
    this.#sweep = this.#scheduleSweep();
  }

  /** Looks for idle ones no more. */
  stop(): void {
    this.#sweep.cancel();
  }

  /**
   * Closes connections without a call, those not used for longest first.
   *
   * @param count how many
   * @param among which ones; all unless it is given
   * @returns whether there were any
   */
  makeRoom(count: number, among: Iterable<Connection> = this.#all): boolean {
    const idle = [...among]
      .filter(({ callsUnderWay, usable }) => usable && callsUnderWay === 0)
      .sort((a, b) => a.lastUsedAt - b.lastUsedAt);
    for (const connection of idle.slice(0, Math.max(0, count))) {
      if (!connection.usable) continue; // closing one may have closed another
      this.#makingRoom++;
      connection.drain("limit");
    }
    return idle.length > 0;
  }

  /** Ends all of which something holds, some at a time, so that many keep no check waiting. */
  endByAndBy(reason: CloseReason, isOver: (connection: Connection) => boolean): void {
    const left = [...this.#all].filter((connection) => connection.usable && isOver(connection));
    const endSome = () => {
      for (const connection of left.splice(0, ENDED_AT_ONCE)) {
        if (isOver(connection)) connection.drain(reason);
      }
      if (left.length > 0) this.#deadlines.set(endSome, PAUSE_IN_ENDING_MS);
    };
    endSome();
  }

  #scheduleSweep(): Deadline {
    const everyMs = Math.min(this.#idleTimeoutMs / 2, MAX_SWEEP_MS);
    return this.#deadlines.set(() => {
      const longAgo = performance.now() - this.#idleTimeoutMs;
      this.endByAndBy(
        "idle",
        ({ callsUnderWay, lastUsedAt }) => callsUnderWay === 0 && lastUsedAt < longAgo,
      );
      this.#sweep = this.#scheduleSweep();
    }, everyMs);
  }
}
