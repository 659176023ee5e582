/** The steps of making a connection, in their order. */
export type ConnectPhase = "resolve" | "connect" | "tls" | "http2";

/** How long each step took, in milliseconds; a step that was not reached is missing. */
export type ConnectTimings = { readonly [Phase in ConnectPhase]?: number };

/** How far a connection has come. Written by what makes it, read by the channel that owns it. */
export class ConnectProgress {
  /** The address that TLS and HTTP/2 are spoken with. */
  address: string | undefined;
  /** Why the TLS handshake failed. */
  tlsFailure: string | undefined;
  /** Whether the peer has chosen HTTP/2 in its TLS handshake and has not sent a byte since. */
  isSilentAfterTls: () => boolean = () => false;
  #phase: ConnectPhase = "resolve";
  #since = performance.now();
  readonly #timings: { [Phase in ConnectPhase]?: number } = {};

  /** The step that is under way, or that was the last. */
  get phase(): ConnectPhase {
    return this.#phase;
  }

  /** The steps that have ended. */
  get timings(): ConnectTimings {
    return this.#timings;
  }

  /** Ends the step that is under way and begins another; without one, all are done. */
  enter(phase?: ConnectPhase): void {
    const now = performance.now();
    this.#timings[this.#phase] = now - this.#since;
    this.#since = now;
    if (phase !== undefined) this.#phase = phase;
  }
}
