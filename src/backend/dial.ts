import { connect, type Socket } from "node:net";
import type { Deadline, Deadlines } from "../deadline.ts";
import { codeOf, reasonOf } from "../describe_error.ts";
import { formatHostPort } from "../protocol/host.ts";
import type { Verdict } from "../protocol/verdict.ts";
import { connectPersistently } from "./connect_persistently.ts";
import { type DialLimits, HANDSHAKE_LIMIT } from "./dial_limits.ts";
import { missingResource } from "./local_resources.ts";
import {
  type BackendTls,
  handshake,
  HandshakeError,
  TcpTransport,
  TlsTransport,
  type Transport,
} from "./transport.ts";

/** Where a connection leads. */
export interface Destination {
  /** The name that was asked for first, or the address itself. It does not tell where a connection leads. */
  readonly host: string;
  /** An IP address. */
  readonly address: string;
  readonly port: number;
  readonly tls: BackendTls | undefined;
}

/**
 * @returns a key that is equal for destinations whose connections can carry each other's calls. Certificates and
 * keys count by their content
 */
export function destinationKey({ address, port, tls }: Destination): string {
  const plain = `${address} ${port}`;
  return tls === undefined ? plain : `${plain} ${tls.serverName} ${tls.profile.fingerprint}`;
}

/** Why no connection could be made. */
export interface DialFailure {
  readonly verdict: Extract<Verdict, { kind: "unreachable" | "timeout" | "tls" | "local" }>;
  /** Whether the connection merely ended, as while a front proxy reloads: another may be fine. */
  readonly retryable: boolean;
}

/** The end of a dial. */
export type Dialled =
  | {
    readonly ok: true;
    readonly transport: Transport;
    /** How long the TLS handshake took, in milliseconds; `undefined` without TLS. */
    readonly tlsMs: number | undefined;
  }
  | { readonly ok: false; readonly failure: DialFailure };

/** A handshake that did not end in this time, in milliseconds, is the peer's failure even if it had to queue first. */
const ENOUGH_FOR_HANDSHAKE_MS = 300;

/** A connection that is being made. It goes on, whether or not anybody waits, until its own timeout or `abort`. */
export class Dial {
  /** How far it is, for the reason of a timeout. */
  phase: "connect" | "tls" = "connect";
  readonly result: Promise<Dialled>;
  /** Since when it has been wanted, in milliseconds of `performance.now()`. */
  readonly queuedAt: number;
  /** When it began to connect. */
  begunAt = Infinity;
  readonly #destination: Destination;
  readonly #limits: DialLimits;
  readonly #timeoutMs: number;
  readonly #deadlines: Deadlines;
  #deadline: Deadline | undefined;
  readonly #abort = new AbortController();
  #passed: "no" | "timeout" | "held_up" = "no";
  /** When the handshake began, in milliseconds of `performance.now()`. */
  #handshakeAt: number | undefined;
  #handshakeWaited = false;

  /**
   * @param timeoutMs how long TCP and TLS may take together, once they have begun, in milliseconds
   * @param queuedAt since when it has been wanted, if it could not be made at once
   */
  constructor(
    destination: Destination,
    timeoutMs: number,
    limits: DialLimits,
    deadlines: Deadlines,
    queuedAt = performance.now(),
  ) {
    this.queuedAt = queuedAt;
    this.#destination = destination;
    this.#limits = limits;
    this.#timeoutMs = timeoutMs;
    this.#deadlines = deadlines;
    this.result = this.#run()
      .catch((error): Dialled => ({ ok: false, failure: this.#failure(error) }))
      .finally(() => this.#deadline?.cancel());
  }

  /** Ends it; frees its socket at once. */
  abort(): void {
    this.#abort.abort("aborted");
  }

  async #run(): Promise<Dialled> {
    const { address: hostname, port, tls } = this.#destination;
    const { signal } = this.#abort;
    const { connects, handshakes } = this.#limits;
    const endConnect = connects.tryAcquire() ?? await connects.acquire(signal);
    this.#begin();
    if (tls === undefined) {
      const socket = await this.#connect(
        (signal) => Deno.connect({ hostname, port, signal }),
        (socket) => socket.close(),
      ).finally(endConnect);
      const { localAddr } = socket;
      if (localAddr.port === port && localAddr.hostname === hostname) {
        socket.close();
        throw metItself();
      }
      return { ok: true, transport: new TcpTransport(socket), tlsMs: undefined };
    }
    const socket = await this.#connect(
      (signal) => connectNode(hostname, port, signal),
      (socket) => socket.destroy(),
    ).finally(endConnect);
    if (socket.localPort === port && socket.localAddress === hostname) {
      socket.resetAndDestroy();
      throw metItself();
    }
    const connectedAt = performance.now();
    this.phase = "tls";
    const endHandshake = handshakes.tryAcquire() ?? await handshakes.acquire(signal);
    this.#handshakeAt = performance.now();
    this.#handshakeWaited = this.#handshakeAt - connectedAt > HANDSHAKE_LIMIT.holdMs;
    try {
      if (socket.destroyed) throw new HandshakeError("The peer closed the connection", true);
      const secured = await handshake(socket, tls);
      const tlsMs = performance.now() - connectedAt;
      return { ok: true, transport: new TlsTransport(secured), tlsMs };
    } finally {
      endHandshake();
    }
  }

  #connect<Socket>(
    connect: (signal: AbortSignal) => Promise<Socket>,
    close: (socket: Socket) => void,
  ): Promise<Socket> {
    const { address } = this.#destination;
    const { signal } = this.#abort;
    return connectPersistently({ address, connect, close }, this.#limits, this.#deadlines, signal);
  }

  /** Starts the clock of the dial: time spent in the queue does not count. */
  #begin(): void {
    this.begunAt = performance.now();
    this.#deadline = this.#deadlines.setForOtherSide((heldUp) => {
      this.#passed = heldUp ? "held_up" : "timeout";
      this.abort();
    }, this.#timeoutMs);
  }

  /** Whether the handshake had to wait for others, and then had too little time to say anything of the peer. */
  #wasQueuedAway(): boolean {
    if (this.phase !== "tls") return false;
    if (this.#handshakeAt === undefined) return true;
    const hadMs = performance.now() - this.#handshakeAt;
    return this.#handshakeWaited && hadMs < Math.min(ENOUGH_FOR_HANDSHAKE_MS, this.#timeoutMs / 2);
  }

  #failure(error: unknown): DialFailure {
    const { phase } = this;
    if (this.#passed === "held_up" || this.#passed === "timeout" && this.#wasQueuedAway()) {
      const detail = "The agent was held up while it connected";
      return { verdict: { kind: "local", detail }, retryable: false };
    }
    if (this.#passed === "timeout") {
      return { verdict: { kind: "timeout", detail: TIMEOUT_REASONS[phase] }, retryable: false };
    }
    if (error instanceof HandshakeError) {
      return {
        verdict: { kind: "tls", detail: error.message },
        retryable: error.connectionEnded,
      };
    }
    const { address, port } = this.#destination;
    const code = codeOf(error);
    const lack = missingResource(code, address);
    if (lack !== undefined) {
      return { verdict: { kind: "local", detail: `${code}: ${lack}` }, retryable: false };
    }
    const what = code === "" ? reasonOf(error) : `${code} ${formatHostPort(address, port)}`;
    return {
      verdict: { kind: "unreachable", detail: `connect ${what}` },
      retryable: code === "ECONNRESET",
    };
  }
}

/**
 * A socket connects to itself where nobody listens on a port of this machine and the kernel happens to choose the
 * same port as the local one (RFC 9293, section 3.5, simultaneous open).
 *
 * @returns the error that there would have been with any other local port
 */
function metItself(): Error {
  return Object.assign(new Error("nobody listens there"), { code: "ECONNREFUSED" });
}

/** Why a dial timed out, by its phase. */
export const TIMEOUT_REASONS = {
  connect: "The TCP connection was not made in time",
  tls: "The TLS handshake did not end in time",
} as const;

async function connectNode(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  try {
    return await new Promise<Socket>((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true, signal });
      socket.on("error", reject);
      socket.once("close", () => reject(new Error("The connection was closed")));
      socket.once("connect", () => resolve(socket));
    });
  } catch (error) {
    // Deno's node:net says EINVAL where no local port is left or the address family is missing; Deno.connect tells
    // which.
    if (codeOf(error) !== "EINVAL" || signal.aborted) throw error;
    (await Deno.connect({ hostname: host, port, signal })).close();
    // It has connected, so the address family is there: a local port has become free meanwhile.
    throw Object.assign(new Error(reasonOf(error)), { code: "EADDRNOTAVAIL" });
  }
}
