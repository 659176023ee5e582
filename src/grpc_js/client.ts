import { Metadata, setLogger } from "@grpc/grpc-js";
import { type Destination, destinationKey } from "../backend/dial.ts";
import { missingResource } from "../backend/local_resources.ts";
import type { PoolObserver, PoolOptions } from "../backend/pool.ts";
import {
  type HealthCheck,
  type HealthClient,
  RPC_HELD_UP,
  RPC_TIMED_OUT,
  type RunningCheck,
} from "../check/health_client.ts";
import type { Deadlines } from "../deadline.ts";
import { reasonOf } from "../describe_error.ts";
import { statusName } from "../grpc/response.ts";
import type { Verdict } from "../protocol/verdict.ts";
import { describeHandshakeFailure } from "../tls/certificate.ts";
import { type CallEnd, Channel, type ChannelCall } from "./channel.ts";
import { installGoawayGuard, limitConnecting } from "./workarounds.ts";

/** Takes what grpc-js logs; `text` is only called for a line that is written. */
export interface GrpcJsLog {
  /** An error; its text may come from the wire, as a response header that grpc-js refuses. */
  warn(text: () => string): void;
  debug(text: () => string): void;
}

/** A text of grpc-js is logged up to this many characters, since it may quote backends. */
const LOGGED_LENGTH = 500;

/**
 * Prepares this process for grpc-js. To be called once, before the first client is made.
 *
 * @param log takes what grpc-js would otherwise print on stderr itself, synchronously, so that a full pipe would stop
 * the agent; `undefined` for nowhere
 */
export function setUpGrpcJs(log: GrpcJsLog | undefined): void {
  installGoawayGuard();
  limitConnecting();
  const textOf = (words: readonly unknown[]) => () =>
    words.map(String).join(" ").slice(0, LOGGED_LENGTH);
  const debug = (...words: unknown[]) => log?.debug(textOf(words));
  setLogger({ error: (...words: unknown[]) => log?.warn(textOf(words)), info: debug, debug });
}

/**
 * The client of `grpc_client = "grpc-js"`: gRPC's library for Node, for backends on which the native client might
 * fail, and for tests that compare the two.
 *
 * It has one {@linkcode Channel} for each destination, kept for the next check and dropped at the first failure. A call
 * that fails on a kept channel without an answer is made once more on a new one. The addresses of a name are tried one
 * after the other, those with a channel first.
 *
 * Verdicts: a status is what the backend says; no connection, or one that ends without an answer, is
 * `backend_unreachable`, or `tls` where TLS is spoken and TCP was connected; every other error is `rpc` with
 * grpc-js's code and text.
 *
 * It does not do what the native client does beyond that:
 * - Without `installGoawayGuard` a GOAWAY can kill the process, and without `limitConnecting` an attempt to connect
 *   leaves its socket behind (workarounds.ts).
 * - No second call beside a silent one, and no PING: a connection that a middlebox has dropped in silence
 *   costs one check. A server that answers only the first call of each connection costs some.
 * - Calls beyond the server's MAX_CONCURRENT_STREAMS wait, and the wait counts against their deadline.
 * - ALPN is not looked at: a server that speaks HTTP/2 without offering it passes, whatever `require_alpn`.
 * - A response is not read strictly: pages in place of gRPC's answer, two messages, a wrong content-type or
 *   malformed header fields have other codes and texts, and some pass.
 * - A client certificate that the server refuses shows as a lost connection, and a server that is checked by its IP
 *   address is sent a made-up server name.
 * - While a peer floods a connection, the agent does little else than read it.
 * - Nothing is kept over a reload, and no connection is replaced because of its age.
 */
export class GrpcJsClient implements HealthClient {
  readonly #options: PoolOptions;
  readonly #rpcTimeoutMs: number;
  readonly #metadata = new Metadata();
  readonly #deadlines: Deadlines;
  readonly #observer: PoolObserver;
  /** By {@linkcode destinationKey}, least recently used first. */
  readonly #channels = new Map<string, Channel>();
  #closed = false;

  /**
   * @param rpcTimeoutMs of one RPC, once there is a connection, in milliseconds
   * @param metadata what each call carries along
   */
  constructor(
    options: PoolOptions,
    rpcTimeoutMs: number,
    metadata: ReadonlyMap<string, string>,
    deadlines: Deadlines,
    observer: PoolObserver,
  ) {
    this.#options = options;
    this.#rpcTimeoutMs = rpcTimeoutMs;
    for (const [name, value] of metadata) this.#metadata.set(name, value);
    this.#deadlines = deadlines;
    this.#observer = observer;
  }

  check(check: HealthCheck): RunningCheck {
    const timeouts = { rpcMs: this.#rpcTimeoutMs, connectMs: this.#options.connectTimeoutMs };
    const calls = new Calls(check, this.#metadata, timeouts);
    const verdict = this.#run(check.destinations, calls)
      .catch((error): Verdict => ({ kind: "internal", error }));
    return {
      verdict,
      progress: () => ({ answer: undefined, lack: undefined, waitsFor: calls.waitsFor }),
      joined: () => {}, // there are no second calls that could be made earlier
      cancel: () => calls.cancel(),
    };
  }

  stateOf(destination: Destination): "ready" | "connecting" | undefined {
    const state = this.#channels.get(destinationKey(destination))?.state;
    return state === "broken" ? undefined : state;
  }

  /** Closes all channels once the calls on them have ended; a check under way may still open one. */
  close(): void {
    this.#closed = true;
    for (const channel of [...this.#channels.values()]) channel.close("reload");
  }

  async #run(destinations: readonly Destination[], calls: Calls): Promise<Verdict> {
    // All destinations are addresses of one name, with the same profile.
    const detail = contextProblem(destinations[0]);
    if (detail !== undefined) return { kind: "tls", detail };
    const rank = (destination: Destination) => this.stateOf(destination) === "ready" ? 0 : 1;
    let last: Attempt | undefined;
    for (const destination of destinations.toSorted((a, b) => rank(a) - rank(b))) {
      const kept = this.#kept(destination);
      last = await calls.make(kept ?? this.#open(destination), destination);
      if (kept !== undefined && !last.answered) {
        last = await calls.make(this.#open(destination), destination);
      }
      if (last.connected) break;
    }
    if (last === undefined) throw new Error("A check without a destination");
    return last.verdict;
  }

  #kept(destination: Destination): Channel | undefined {
    const key = destinationKey(destination);
    const channel = this.#channels.get(key);
    if (channel === undefined) return undefined;
    this.#channels.delete(key);
    if (channel.state === "broken") {
      channel.close("peer");
      return undefined;
    }
    this.#channels.set(key, channel);
    return channel;
  }

  #open(destination: Destination): Channel {
    const key = destinationKey(destination);
    const keep = this.#options.keep && !this.#closed;
    const options = { ...this.#options, keep };
    const channel = new Channel(destination, options, this.#deadlines, (reason) => {
      if (this.#channels.get(key) === channel) this.#channels.delete(key);
      this.#observer.onClosed(reason);
    });
    this.#observer.onOpened();
    if (!keep) return channel;
    this.#channels.get(key)?.close("unused");
    this.#channels.set(key, channel);
    this.#makeRoom();
    return channel;
  }

  /** Closes channels without calls, those not used for longest first; where all have calls, none. */
  #makeRoom(): void {
    for (const channel of [...this.#channels.values()].slice(0, -1)) {
      if (this.#channels.size <= this.#options.maxConnections) return;
      if (channel.callsUnderWay === 0) channel.close("limit");
    }
  }
}

/** @returns why TLS with a destination cannot even begin, if it cannot: no CAs to verify with, say */
function contextProblem(destination: Destination | undefined): string | undefined {
  try {
    destination?.tls?.profile.context();
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

/** What one call came to. */
interface Attempt {
  readonly verdict: Verdict;
  readonly connected: boolean;
  readonly answered: boolean;
}

/** The calls of one check, one after the other, within its time. */
class Calls {
  readonly #check: HealthCheck;
  readonly #metadata: Metadata;
  readonly #timeouts: { readonly rpcMs: number; readonly connectMs: number };
  readonly #endsAt: number;
  #current: { readonly channel: Channel; readonly call: ChannelCall } | undefined;
  #cancelled = false;

  constructor(
    check: HealthCheck,
    metadata: Metadata,
    timeouts: { readonly rpcMs: number; readonly connectMs: number },
  ) {
    this.#check = check;
    this.#metadata = metadata;
    this.#timeouts = timeouts;
    this.#endsAt = performance.now() + check.timeoutMs;
  }

  get waitsFor(): string {
    return this.#current?.channel.state === "connecting" ? NOT_CONNECTED : RPC_TIMED_OUT;
  }

  /** Gives up the one that is under way, and makes no other; their promises never settle. */
  cancel(): void {
    this.#cancelled = true;
    this.#current?.call.cancel();
  }

  async make(channel: Channel, { address, tls }: Destination): Promise<Attempt> {
    if (this.#cancelled) return await new Promise(() => {});
    const { rpcMs, connectMs } = this.#timeouts;
    const begunAt = performance.now();
    const limitMs = channel.state === "ready" ? rpcMs : connectMs + rpcMs;
    const timeoutMs = Math.max(1, Math.min(limitMs, this.#endsAt - begunAt));
    const call = channel.check(this.#check, this.#metadata, timeoutMs);
    this.#current = { channel, call };
    const end = await call.ended;
    return {
      verdict: verdictOf(end, address, tls !== undefined),
      connected: end.connected,
      answered: end.kind === "response" || end.kind === "error" && end.answered,
    };
  }
}

const NOT_CONNECTED = "The connection was not ready in time";

function verdictOf(end: CallEnd, address: string, tls: boolean): Verdict {
  switch (end.kind) {
    case "response":
      return end.status === "SERVING"
        ? { kind: "serving" }
        : { kind: "not_serving", status: end.status };
    case "timeout":
      return end.late
        ? { kind: "local", detail: RPC_HELD_UP }
        : { kind: "timeout", detail: end.connected ? RPC_TIMED_OUT : NOT_CONNECTED };
    case "error": {
      const { code, details } = end.error;
      if (!end.connected) return lostVerdict(details, address, tls);
      // An answer that grpc-js can make no sense of has no code, or NaN, and no details.
      return Number.isInteger(code)
        ? { kind: "rpc", code: statusName(code), detail: details }
        : { kind: "rpc", code: "UNKNOWN", detail: "The answer makes no sense in gRPC" };
    }
  }
}

/** @param details "No connection established. Last error: Error: connect E... . Resolution note: ", say */
function lostVerdict(details: string, address: string, tls: boolean): Verdict {
  const [, cause] = /Last error: (?:Error: )?(.*?)(?: \([\d\-T:.]+Z\))?\.? Resolution note:/s
    .exec(details) ?? [];
  if (cause === undefined) return { kind: "unreachable", detail: details };
  const [, errno] = /^connect (E[A-Z]+)/.exec(cause) ?? [];
  if (errno === undefined) {
    return tls
      ? { kind: "tls", detail: describeHandshakeFailure(new Error(cause)) }
      : { kind: "unreachable", detail: cause };
  }
  const lack = missingResource(errno, address);
  return lack === undefined
    ? { kind: "unreachable", detail: cause }
    : { kind: "local", detail: `${errno}: ${lack}` };
}
