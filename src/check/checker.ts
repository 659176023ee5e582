import { backendKey } from "../protocol/backend_key.ts";
import type { CheckRequest } from "../protocol/request.ts";
import type { Channel, ChannelTarget } from "./channel.ts";
import type { ChannelPool, ConnectionUse } from "./channel_pool.ts";
import { Coalescer } from "./coalescer.ts";
import { setDeadline } from "./deadline.ts";
import type { ConnectTimings } from "./connect_progress.ts";
import { isWordOfBackend, verdictOf, verdictOfStatus } from "./rpc_outcome.ts";
import type { TlsProfile } from "./tls_profile.ts";
import type { Verdict } from "./verdict.ts";

/** How checks are run; times in milliseconds. */
export interface CheckerOptions {
  /** The whole check. */
  readonly checkTimeoutMs: number;
  /** The RPC, once connected. */
  readonly rpcTimeoutMs: number;
  /** Whether equal checks that are under way at once share one RPC. */
  readonly coalesce: boolean;
  /** Whether what a Watch stream has told is answered without an RPC. */
  readonly watch: boolean;
}

/** What one attempt gave, and whether a new connection may well give something else. */
interface Attempt {
  readonly verdict: Verdict;
  /** What the backend said; `undefined` when the RPC failed. */
  readonly status: string | undefined;
  readonly worthAnother: boolean;
  /** The same attempt at its end, where it was not waited for. */
  readonly later?: Promise<Attempt>;
  readonly timings: CheckTimings;
}

/** What a check under way is about, for itself and all that share it. */
interface Run {
  readonly request: CheckRequest;
  readonly target: ChannelTarget;
  /** In milliseconds of `performance.now()`, as is the deadline. */
  readonly begunAt: number;
  readonly deadline: number;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly trace: (timings: CheckTimings) => void;
}

/** How long the steps of a check took, in milliseconds; a step that was not reached is missing. */
export interface CheckTimings extends ConnectTimings {
  readonly rpc?: number;
}

/**
 * How much of its time an RPC waits before the Watch streams beside it are ended: whether they hold it up
 * must show while there is still time to answer.
 */
const PATIENCE_WITH_STREAMS = 1 / 3;

/**
 * How much of its time an RPC waits on a kept connection before a new one is asked as well. A firewall or
 * NAT that has forgotten a connection drops what is sent on it without a word. By default early enough for
 * a new connection that fails too to have failed by the end of the RPC's time.
 */
const PATIENCE_WITH_KEPT = 1 / 3;

/**
 * How much more than its time a check may take where the agent is behind with its own work, in milliseconds:
 * HAProxy drops what comes late.
 */
const PUT_OFF_MS = 40;

/** Why a check is ended early: its client is gone. That says nothing of the connection. */
const ABANDONED = "abandoned";

/** Finds out what a backend says of itself. */
export class Checker {
  readonly #options: CheckerOptions;
  readonly #pool: ChannelPool;
  readonly #tlsProfiles: ReadonlyMap<string, TlsProfile>;
  readonly #onCoalesced: () => void;
  readonly #coalescer = new Coalescer<Verdict>();
  #checks = 0;

  /**
   * @param tlsProfiles by their names in requests; at least the one without a name
   * @param onCoalesced called for each check that shares the RPC of another
   */
  constructor(
    options: CheckerOptions,
    pool: ChannelPool,
    tlsProfiles: ReadonlyMap<string, TlsProfile>,
    onCoalesced: () => void,
  ) {
    this.#options = options;
    this.#pool = pool;
    this.#tlsProfiles = tlsProfiles;
    this.#onCoalesced = onCoalesced;
  }

  /** Whether the request's TLS profile exists. */
  hasTlsProfile({ tlsProfile }: CheckRequest): boolean {
    return this.#tlsProfiles.has(tlsProfile);
  }

  /**
   * Checks one backend.
   *
   * One timer settles the check, whatever happens to the name, TCP, TLS, HTTP/2 or the RPC: a `down`
   * that comes late is dropped by HAProxy, and the dead server stays UP.
   *
   * @param abandoned ends the check when nobody waits for its verdict any more
   * @param trace is told how long the steps took
   * @returns the verdict, within `checkTimeoutMs` ({@linkcode PUT_OFF_MS} later where the agent is
   * behind), or at once where a Watch stream has told it; never rejects
   */
  check(
    request: CheckRequest,
    abandoned: AbortSignal,
    trace: (timings: CheckTimings) => void = () => {},
  ): Promise<Verdict> {
    const remembered = this.#recall(request);
    if (remembered !== undefined) return Promise.resolve(remembered);
    const { checkTimeoutMs, coalesce } = this.#options;
    const timeoutMs = Math.min(checkTimeoutMs, request.timeoutMs ?? Infinity);
    // Others may join, so the tighter deadline of this request does not bound what is run for all.
    const deadline = performance.now() + checkTimeoutMs;
    // Without coalescing a key of its own, so that nobody joins.
    const key = coalesce ? backendKey(request) : `${++this.#checks}`;
    const { result, joined, leave } = this.#coalescer.join(
      key,
      (signal) =>
        this.#run({ request, deadline, signal, trace })
          .catch((error): Verdict => ({ kind: "internal", error })),
    );
    if (joined) this.#onCoalesced();
    return new Promise((resolve) => {
      let settled = false;
      const settle = (verdict: Verdict, reason?: typeof ABANDONED) => {
        if (settled) return;
        settled = true;
        cancelDeadline();
        abandoned.removeEventListener("abort", abandon);
        resolve(verdict);
        leave(reason);
      };
      const late = {
        kind: "timeout",
        detail: `The check did not end within ${timeoutMs} ms`,
      } as const;
      const abandon = () => settle(late, ABANDONED);
      const cancelDeadline = setDeadline(() => settle(late), timeoutMs, PUT_OFF_MS);
      abandoned.addEventListener("abort", abandon);
      result.then((verdict) => settle(verdict));
    });
  }

  #recall(request: CheckRequest): Verdict | undefined {
    if (!this.#options.watch) return undefined;
    const status = this.#pool.recall(this.#targetOf(request), request.service);
    return status === undefined ? undefined : verdictOfStatus(status);
  }

  /**
   * Asks on the kept connection where there is one. A failure or silence there says little of the
   * backend, which may have restarted or said goodbye (GOAWAY) since: then a new connection is asked. The
   * same goes for a backend that was SERVING there and no longer is: behind a balancer the old connection
   * may lead to a server that is being replaced, and new ones to others.
   * Where the new one is lost as well, it may be for the sake of others that share it (some servers serve
   * one call and say goodbye), so the last connection is for this check alone.
   */
  async #run(asked: Omit<Run, "target" | "begunAt">): Promise<Verdict> {
    const target = this.#targetOf(asked.request);
    const run = { ...asked, target, begunAt: performance.now() };
    return (await this.#ask(run, "shared", "shared", "own")).verdict;
  }

  /** Asks on a connection, and on the others in turn where there may be something else to hear. */
  async #ask(run: Run, connection: ConnectionUse, ...others: ConnectionUse[]): Promise<Attempt> {
    const attempt = await this.#askOn(run, connection);
    const [next, ...rest] = others;
    if (!attempt.worthAnother || run.signal.aborted || next === undefined) return attempt;
    const another = this.#ask(run, next, ...rest);
    return attempt.later === undefined
      ? better(attempt, await another)
      : await firstWord(attempt.later, another);
  }

  async #askOn(run: Run, connection: ConnectionUse): Promise<Attempt> {
    const { channel, attempt } = await this.#pool.use(run.target, connection, async (channel) => {
      const attempt = await this.#askBy(channel, run);
      run.trace({ ...channel.connectTimings, ...attempt.timings });
      return { channel, attempt };
    });
    // After its use, when the pool has closed a channel that it does not keep: no stream on that.
    channel.watches?.checked(run.request.service, attempt.status);
    return attempt;
  }

  #targetOf({ host, port, authority, tls, tlsProfile, serverName }: CheckRequest): ChannelTarget {
    if (!tls) return { host, port, authority, tls: undefined };
    const profile = this.#tlsProfiles.get(tlsProfile);
    if (profile === undefined) throw new Error(`No TLS profile ${tlsProfile}`);
    const name = profile.settings.serverName ?? serverName;
    return { host, port, authority, tls: { profile, serverName: name } };
  }

  async #askBy(channel: Channel, { request, begunAt, deadline, signal }: Run): Promise<Attempt> {
    const { service } = request;
    const kept = channel.openedAt < begunAt;
    const failure = await channel.connected;
    if (failure !== undefined) {
      return { verdict: failure, status: undefined, worthAnother: kept, timings: {} };
    }
    const connectedAt = performance.now();
    const timeoutMs = Math.max(1, Math.min(this.#options.rpcTimeoutMs, deadline - connectedAt));
    const { watches } = channel;
    const impatience = watches?.streaming === true
      ? setTimeout(() => watches.giveWay(), timeoutMs * PATIENCE_WITH_STREAMS)
      : undefined;
    const attempt = channel.check(service, timeoutMs, signal).then((outcome): Attempt => {
      clearTimeout(impatience);
      const verdict = verdictOf(outcome);
      const spoken = isWordOfBackend(outcome);
      const changed = kept && verdict.kind !== "serving" && channel.hasServed(service);
      if ((!spoken || changed) && signal.reason !== ABANDONED) channel.close();
      return {
        verdict,
        status: outcome.ok ? outcome.status : undefined,
        worthAnother: changed || !outcome.ok && (outcome.connectionLost || kept && !spoken),
        timings: { rpc: performance.now() - connectedAt },
      };
    });
    const patienceMs = Math.min(timeoutMs, request.timeoutMs ?? Infinity) * PATIENCE_WITH_KEPT;
    return kept ? await unlessSilent(channel, attempt, patienceMs) : attempt;
  }
}

/** Waits for an attempt on a kept connection, but not for long: then no other RPC uses it any more. */
function unlessSilent(
  channel: Channel,
  attempt: Promise<Attempt>,
  patienceMs: number,
): Promise<Attempt> {
  return new Promise((resolve) => {
    const cancelDeadline = setDeadline(() => {
      channel.close();
      const verdict = { kind: "timeout", detail: "The kept connection is silent" } as const;
      resolve({ verdict, status: undefined, worthAnother: true, later: attempt, timings: {} });
    }, patienceMs);
    attempt.then((ended) => {
      cancelDeadline();
      resolve(ended);
    });
  });
}

/** What the backend says first, on either connection, unless the other one is to be heard as well. */
async function firstWord(old: Promise<Attempt>, fresh: Promise<Attempt>): Promise<Attempt> {
  const first = await Promise.race([old, fresh]);
  if (first.status !== undefined && !first.worthAnother) return first;
  return better(...await Promise.all([old, fresh]));
}

/** What came of the new connection, unless the backend has said something only on the old one. */
function better(old: Attempt, fresh: Attempt): Attempt {
  return fresh.status === undefined && old.status !== undefined ? old : fresh;
}
