import type { Destination } from "../backend/dial.ts";
import type { PendingLookUp } from "../backend/name_look_up.ts";
import type { Resolution, Resolver } from "../backend/resolve.ts";
import type { Deadline, Deadlines } from "../deadline.ts";
import type { BackendQuestion, CheckRequest } from "../protocol/request.ts";
import type { TlsProfile } from "../tls/profile.ts";
import { hedgeDelayMs } from "./attempts.ts";
import type { CheckObserver, HealthClient } from "./health_client.ts";
import { type Flight, type Observation, SingleFlight } from "./single_flight.ts";
import { verdictOfTimeout } from "./verdicts.ts";

/** How checks are run; times in milliseconds. */
export interface CheckerOptions {
  /** The whole check. */
  readonly checkTimeoutMs: number;
  /** Whether equal checks that are under way at once share one RPC. */
  readonly coalesce: boolean;
  /** How old a verdict may be that answers again; 0 for never. */
  readonly verdictMaxAgeMs: number;
}

/** A check that somebody waits for. */
export interface PendingCheck {
  /** Settles in time; never rejects. Never settles once it is abandoned. */
  readonly observation: Promise<Observation>;
  /** Stops waiting. Idempotent. */
  abandon(): void;
}

/** Finds out what a backend says of itself. */
export class Checker {
  readonly #options: CheckerOptions;
  readonly #client: HealthClient;
  readonly #resolver: Resolver;
  readonly #tlsProfiles: ReadonlyMap<string, TlsProfile>;
  readonly #deadlines: Deadlines;
  readonly #observer: Pick<CheckObserver, "onCoalesced">;
  readonly #flights: SingleFlight;

  /**
   * @param tlsProfiles by their names in requests; at least the one without a name
   */
  constructor(
    options: CheckerOptions,
    client: HealthClient,
    resolver: Resolver,
    tlsProfiles: ReadonlyMap<string, TlsProfile>,
    deadlines: Deadlines,
    observer: Pick<CheckObserver, "onCoalesced">,
  ) {
    this.#options = options;
    this.#client = client;
    this.#resolver = resolver;
    this.#tlsProfiles = tlsProfiles;
    this.#deadlines = deadlines;
    this.#observer = observer;
    this.#flights = new SingleFlight(options.coalesce, options.verdictMaxAgeMs);
  }

  /** Whether the request's TLS profile exists. */
  hasTlsProfile({ tlsProfile }: CheckRequest): boolean {
    return this.#tlsProfiles.has(tlsProfile);
  }

  /**
   * Checks one backend.
   *
   * One deadline settles the check, whatever happens to the name, TCP, TLS, HTTP/2 or the RPC: a `down`
   * that comes late is dropped by HAProxy, and the dead server stays UP.
   *
   * @param patienceMs how long the client waits, in milliseconds; `check_timeout_ms` at most
   * @param at when it asked, in milliseconds of `performance.now()`
   */
  check(request: CheckRequest, patienceMs = Infinity, at = performance.now()): PendingCheck {
    const timeoutMs = Math.min(
      this.#options.checkTimeoutMs,
      request.timeoutMs ?? Infinity,
      patienceMs,
    );
    const waiting = new WaitingCheck(request, timeoutMs, at, this.#deadlines);
    const resolved = this.#resolver.resolve(
      request.host,
      request.port,
      timeoutMs,
      (addresses) => this.#stateOf(request, addresses) === "ready",
    );
    if ("resolution" in resolved) {
      waiting.firstLookUp = resolved.firstLookUp;
      resolved.resolution.then((resolution) => {
        if (!waiting.settled) this.#joinOrBegin(waiting, resolution);
      }).catch((error) => waiting.settle({ verdict: { kind: "internal", error }, run: NO_RUN }));
    } else {
      this.#joinOrBegin(waiting, resolved);
    }
    return waiting;
  }

  /** @returns how far the connections are on which a check of this question would be made */
  connectionState(question: BackendQuestion): "ready" | "connecting" | undefined {
    if (!this.#tlsProfiles.has(question.tlsProfile)) return undefined; // a reload has taken it away
    return this.#stateOf(question, this.#resolver.known(question.host, question.port));
  }

  #stateOf(
    question: BackendQuestion,
    addresses: readonly string[],
  ): "ready" | "connecting" | undefined {
    const states = this.#destinationsOf(question, addresses)
      .map((destination) => this.#client.stateOf(destination));
    return states.find((state) => state === "ready") ?? states.find((state) => state !== undefined);
  }

  /** Has a check wait for the run of an equal one, or for one that it begins. */
  #joinOrBegin(waiting: WaitingCheck, resolution: Resolution): void {
    if (!resolution.ok) return waiting.settle({ verdict: resolution.verdict, run: NO_RUN });
    const { addresses } = resolution;
    const { request, timeoutMs: askerTimeoutMs, at } = waiting;
    const { host, authority, service } = request;
    const key = addresses[0] === host ? request.key : `${addresses.join()} ${request.key}`;
    const kept = this.#flights.kept(key);
    if (kept !== undefined) {
      this.#observer.onCoalesced();
      return waiting.settle(kept);
    }
    const joined = this.#flights.find(key, hedgeDelayMs(askerTimeoutMs));
    if (joined !== undefined) this.#observer.onCoalesced();
    const flight = joined ?? this.#flights.add(
      key,
      this.#client.check({
        destinations: this.#destinationsOf(request, addresses),
        authority,
        service,
        at,
        timeoutMs: this.#options.checkTimeoutMs,
        askerTimeoutMs,
      }),
      performance.now(),
    );
    waiting.waitFor(flight);
  }

  #destinationsOf(
    { host, port, tls, tlsProfile, serverName }: BackendQuestion,
    addresses: readonly string[],
  ): Destination[] {
    if (!tls) return addresses.map((address) => ({ host, address, port, tls: undefined }));
    const profile = this.#tlsProfiles.get(tlsProfile);
    if (profile === undefined) throw new Error(`No TLS profile ${tlsProfile}`);
    const backendTls = { profile, serverName: profile.settings.serverName ?? serverName };
    return addresses.map((address) => ({ host, address, port, tls: backendTls }));
  }
}

/**
 * How long after its deadline a check is answered at the latest, in milliseconds: what has arrived is read first.
 * HAProxy still waits then.
 */
const MAX_CHECK_PUT_OFF_MS = 150;

/** For verdicts that no RPC was made for. */
const NO_RUN = 0;

/** A client's wait for a check. Several may share one RPC; each has its own deadline. */
class WaitingCheck implements PendingCheck {
  readonly observation: Promise<Observation>;
  readonly request: CheckRequest;
  /** From {@linkcode at} on, in milliseconds. */
  readonly timeoutMs: number;
  /** When it was asked for, in milliseconds of `performance.now()`. */
  readonly at: number;
  readonly #resolve: (observation: Observation) => void;
  readonly #deadline: Deadline;
  #flight: Flight | undefined;
  settled = false;
  /** The look-up that it waits or has waited for, of a name whose addresses were not known. */
  firstLookUp: PendingLookUp | undefined;

  constructor(request: CheckRequest, timeoutMs: number, at: number, deadlines: Deadlines) {
    this.request = request;
    this.timeoutMs = timeoutMs;
    this.at = at;
    const { promise, resolve } = Promise.withResolvers<Observation>();
    this.observation = promise;
    this.#resolve = resolve;
    this.#deadline = deadlines.setForOtherSide(
      (heldUp) => this.#timedOut(heldUp),
      timeoutMs,
      at,
      MAX_CHECK_PUT_OFF_MS,
    );
  }

  waitFor(flight: Flight): void {
    this.#flight = flight;
    flight.join(this.timeoutMs);
    void flight.observation.then((observation) => this.settle(observation));
  }

  settle(observation: Observation): void {
    if (this.settled) return;
    this.#end();
    this.#resolve(observation);
  }

  abandon(): void {
    if (!this.settled) this.#end();
  }

  #end(): void {
    this.settled = true;
    this.#deadline.cancel();
    this.#flight?.leave();
  }

  #timedOut(heldUp: boolean): void {
    const flight = this.#flight;
    // Whoever asks next must not wait for the same run, which has just timed out.
    if (flight !== undefined) flight.open = false;
    const queuedMs = this.firstLookUp?.queuedMs(this.at) ?? 0;
    const verdict = verdictOfTimeout(heldUp, this.timeoutMs, queuedMs, flight?.progress());
    this.settle({ verdict, run: flight?.run ?? NO_RUN });
  }
}
