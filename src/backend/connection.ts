import type { Deadline, Deadlines } from "../deadline.ts";
import { reasonOf } from "../describe_error.ts";
import { Session } from "../http2/session.ts";
import type { StreamEnd, StreamOwner, StreamRequest } from "../http2/stream.ts";
import type { Destination } from "./dial.ts";
import { isTlsError, type Transport } from "./transport.ts";

/** How long a connection that ends may take to send what is left, in milliseconds: a frozen peer takes nothing. */
const GOODBYE_MS = 1000;

/** A connection on which a call has failed is replaced at this age, in milliseconds. */
const MAX_DOUBTED_AGE_MS = 5000;

/** How many calls that were answered SERVING a connection remembers. */
const MAX_SAID_SERVING = 1000;

/** Why connections are closed: by the peer, or else by the agent. */
export const CLOSE_REASONS = [
  "peer",
  "idle",
  "age",
  "limit",
  "reload",
  "unused",
  "silent",
  "changed",
] as const;

/** A value of {@linkcode CLOSE_REASONS}. */
export type CloseReason = (typeof CLOSE_REASONS)[number];

/** Told what becomes of a connection that it keeps. */
export interface ConnectionOwner {
  /** It can take a call that it could not take before, or it has said for the first time how many it takes. */
  onFree(): void;
  /** It takes no more calls; those on it may go on. Called once. */
  onUnusable(): void;
  /** It is closed, and its socket too. Called once. */
  onClosed(reason: CloseReason): void;
}

/** What a call says to the server. */
export interface CallRequest extends StreamOwner {
  readonly content: StreamRequest;
  /** @returns the header fields, encoded for HPACK, with the time left at a moment of `performance.now()` */
  headerBlock(sentAt: number): Uint8Array;
}

/** A call that has been sent. */
export class Call implements StreamOwner {
  readonly connection: Connection;
  /** In milliseconds of `performance.now()`. */
  readonly sentAt = performance.now();
  /** {@linkcode Connection.signsOfLife} when it was sent. */
  readonly signsBefore: number;
  readonly #request: CallRequest;
  readonly #session: Session;
  readonly #streamId: number;

  /** Sends it. It may end before this returns: where the server takes no headers of this size. */
  constructor(connection: Connection, session: Session, request: CallRequest) {
    this.connection = connection;
    this.signsBefore = session.signsOfLife;
    this.#request = request;
    this.#session = session;
    this.#streamId = session.open(request.content, request.headerBlock(this.sentAt), this);
  }

  onEnd(end: StreamEnd): void {
    this.connection.callEnded();
    this.#request.onEnd(end);
  }

  /** Gives it up. Idempotent. */
  cancel(): void {
    if (this.#session.cancel(this.#streamId)) this.connection.callCancelled();
  }
}

/** One connection to a backend: its socket, and the HTTP/2 session on it. */
export class Connection {
  readonly destination: Destination;
  /** In milliseconds of `performance.now()`, as {@linkcode lastUsedAt}. */
  readonly openedAt = performance.now();
  lastUsedAt = this.openedAt;
  /** Calls that it has carried. */
  callsCarried = 0;
  /** When it is too old to be kept. In milliseconds of `performance.now()`, as {@linkcode replaceAt}. */
  expiresAt = Infinity;
  /** When another connection is to take its place; `Infinity` while that one is being made. */
  replaceAt = Infinity;
  /**
   * Why TLS failed after the handshake, and whether by an alert of the server: with TLS 1.3 it judges the client's
   * certificate only then.
   */
  tlsFailure: { readonly reason: string; readonly isAlert: boolean } | undefined;
  readonly #transport: Transport;
  readonly #owner: ConnectionOwner;
  readonly #deadlines: Deadlines;
  readonly #session = new Session();
  #saidServing: Set<string> | undefined;
  /** Whether the call that is on it is to be alone. */
  #exclusive = false;
  #closeReason: CloseReason = "peer";
  /** When it was found to give no sign of life, in milliseconds of `performance.now()`. */
  #silentSince: number | undefined;
  #flushing = false;
  #usable = true;
  #hadSettings = false;
  /** Closes it by force. */
  #goodbye: Deadline | undefined;
  #closed = false;

  /** @param transport connected; owned by this from here on */
  constructor(
    destination: Destination,
    transport: Transport,
    owner: ConnectionOwner,
    deadlines: Deadlines,
  ) {
    this.destination = destination;
    this.#transport = transport;
    this.#owner = owner;
    this.#deadlines = deadlines;
    transport.read((bytes) => this.#receive(bytes), (error) => this.#transportEnded(error));
    this.#flush();
  }

  /** How many calls it can take now. */
  get freeStreams(): number {
    return this.#exclusive ? 0 : this.#session.freeStreams;
  }

  /** Calls that are under way on it. */
  get callsUnderWay(): number {
    return this.#session.openStreams;
  }

  /** Whether the server has said how many calls it takes. */
  get hasSettings(): boolean {
    return this.#session.hasSettings;
  }

  /** Whether it still takes calls, now or later. */
  get usable(): boolean {
    return this.#usable;
  }

  /** Whether it takes further calls beside those on it. */
  get isShared(): boolean {
    return this.#usable && !this.#exclusive;
  }

  /**
   * Sends a call. Only to be called while {@linkcode freeStreams} is above 0.
   *
   * @param exclusive whether it takes no other until this one has ended
   */
  call(request: CallRequest, exclusive: boolean): Call {
    this.#exclusive = exclusive;
    this.callsCarried++;
    const call = new Call(this, this.#session, request);
    this.lastUsedAt = call.sentAt;
    this.#flush();
    return call;
  }

  /** A call on it has its end. Called by the call. */
  callEnded(): void {
    this.#exclusive = false;
    this.lastUsedAt = performance.now();
  }

  /** A call on it was given up. Called by the call. */
  callCancelled(): void {
    this.callEnded();
    this.#afterChange();
  }

  /** Whether the server has said GOAWAY: it may end at any moment. */
  get isServerLeaving(): boolean {
    return this.#session.isServerLeaving;
  }

  /** How often bytes have come; that it grows is a sign of life. */
  get signsOfLife(): number {
    return this.#session.signsOfLife;
  }

  /** It was asked for a sign of life and has given none. */
  noteSilence(): void {
    this.#silentSince ??= performance.now();
  }

  /** How long it has been known to give no sign of life, in milliseconds; `undefined` where that is not so. */
  get silentMs(): number | undefined {
    return this.#silentSince === undefined ? undefined : performance.now() - this.#silentSince;
  }

  /**
   * Asks for a sign of life, unless the server has been asked since its last answer.
   *
   * @returns {@linkcode signsOfLife} when it was asked
   */
  ping(): number {
    const signsBefore = this.#session.ping();
    this.#flush();
    return signsBefore;
  }

  /** Takes no more calls, and closes once those on it have ended. */
  drain(reason: CloseReason): void {
    if (!this.#usable) return;
    this.#closeReason = reason;
    this.#session.drain();
    this.#afterChange();
  }

  /**
   * A call on it has failed: has another connection take its place soon. Behind a balancer that one may lead to a
   * server that serves.
   */
  doubt(): void {
    // Only the first time: from then on the pool decides when to try again.
    if (this.replaceAt !== this.expiresAt) return;
    this.replaceAt = Math.min(this.expiresAt, this.openedAt + MAX_DOUBTED_AGE_MS);
  }

  /** Whether the backend has said SERVING to such a call on this connection. */
  hasSaidServing(key: string): boolean {
    return this.#saidServing?.has(key) === true;
  }

  /** The backend has said SERVING to such a call. */
  saidServing(key: string): void {
    this.#saidServing ??= new Set();
    if (this.#saidServing.size < MAX_SAID_SERVING) this.#saidServing.add(key);
  }

  #receive(bytes: Uint8Array): void {
    this.#silentSince = undefined;
    try {
      this.#session.receive(bytes, performance.now());
    } catch (error) {
      reportError(error); // a bug: it is logged and counted, and costs this connection alone
      this.#session.transportEnded("A bug in the agent ended the connection");
    }
    this.#afterChange();
  }

  #transportEnded(error: unknown): void {
    const reason = error === undefined
      ? "The peer closed the connection"
      : `The connection broke: ${reasonOf(error)}`;
    if (isTlsError(error)) {
      this.tlsFailure = { reason: reasonOf(error), isAlert: /fatal alert/.test(reason) };
    }
    this.#session.transportEnded(reason);
    this.#afterChange();
    this.#close();
  }

  #afterChange(): void {
    const { state } = this.#session;
    if (state !== "open" && this.#usable) {
      this.#usable = false;
      this.#owner.onUnusable();
    }
    const hasSettled = this.hasSettings && !this.#hadSettings;
    this.#hadSettings = this.hasSettings;
    if (state === "closed") this.#goodbye ??= this.#closeSoon();
    else if (this.freeStreams > 0 || hasSettled) this.#owner.onFree();
    this.#flush();
  }

  #flush(): void {
    if (this.#flushing || this.#closed) return;
    this.#flushing = true;
    this.#writeAll();
  }

  /** Whatever is to be sent at this moment, for any call, leaves in one write. */
  async #writeAll(): Promise<void> {
    try {
      await Promise.resolve();
      while (this.#session.outputLength > 0) {
        await this.#transport.write(this.#session.takeOutput());
      }
    } catch {
      // What the peer sent before it broke the stream is still to be read, and then its end.
      this.#goodbye ??= this.#closeSoon();
    }
    this.#flushing = false;
    if (this.#session.state === "closed") this.#close();
  }

  #closeSoon(): Deadline {
    return this.#deadlines.set(() => this.#close(), GOODBYE_MS);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#goodbye?.cancel();
    this.#transport.close();
    this.#session.transportEnded("The connection was closed");
    if (this.#usable) {
      this.#usable = false;
      this.#owner.onUnusable();
    }
    this.#owner.onClosed(this.#closeReason);
  }
}
