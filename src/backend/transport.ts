import { isIP, type Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { codeOf, reasonOf } from "../describe_error.ts";
import { describeHandshakeFailure, refusalOf } from "../tls/certificate.ts";
import type { TlsProfile } from "../tls/profile.ts";

/** How much is read at once, in bytes: an answer is smaller. Each kept connection holds such a buffer. */
const READ_BYTES = 1024;

/** Full reads in a row after which the rest of the agent gets a turn. */
const FULL_READS_IN_TURN = 16;

/** How long a TLS connection may take to say goodbye, in milliseconds. */
const GOODBYE_MS = 1000;

/** A connected stream of bytes, plain or in TLS. */
export interface Transport {
  /**
   * Begins to read. To be called once.
   *
   * @param onBytes given what arrives; the bytes are valid during the call only
   * @param onEnd called at the end of the stream, never within this call; `undefined` where the peer closed
   * it properly
   */
  read(onBytes: (bytes: Uint8Array) => void, onEnd: (error: unknown) => void): void;
  /** Writes all of it. Not to be called while another write is under way. Rejects on a broken stream. */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes at once, whatever is under way. Idempotent. `onEnd` may be called or not. */
  close(): void;
}

/** TCP without TLS. */
export class TcpTransport implements Transport {
  readonly #socket: Deno.TcpConn;
  #closed = false;

  /** @param socket connected, and owned by this from here on */
  constructor(socket: Deno.TcpConn) {
    this.#socket = socket;
    socket.setNoDelay();
  }

  read(onBytes: (bytes: Uint8Array) => void, onEnd: (error: unknown) => void): void {
    this.#readAll(onBytes).then(onEnd, onEnd);
  }

  async write(bytes: Uint8Array): Promise<void> {
    let sent = await this.#socket.write(bytes);
    while (sent < bytes.length) sent += await this.#socket.write(bytes.subarray(sent));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }

  async #readAll(onBytes: (bytes: Uint8Array) => void): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    let full = 0;
    while (!this.#closed) {
      const count = await this.#socket.read(buffer);
      if (count === null) return;
      onBytes(buffer.subarray(0, count));
      full = count === READ_BYTES ? full + 1 : 0;
      if (full < FULL_READS_IN_TURN) continue;
      // A read that finds bytes ends within the same turn of the event loop: a flood would keep all others waiting.
      await new Promise((resolve) => setTimeout(resolve));
      full = 0;
    }
  }
}

/** A socket of node:tls, after its handshake. */
export class TlsTransport implements Transport {
  readonly #socket: Socket;

  /** @param socket paused, with an error listener, and owned by this from here on */
  constructor(socket: Socket) {
    this.#socket = socket;
  }

  read(onBytes: (bytes: Uint8Array) => void, onEnd: (error: unknown) => void): void {
    if (this.#socket.destroyed) {
      return queueMicrotask(() => onEnd(this.#socket.errored ?? undefined));
    }
    let failure: unknown;
    this.#socket.on("error", (error) => {
      failure = error;
      // Nothing comes after it, no end either. After one of writing there may still be something to read.
      if (isTlsError(error)) onEnd(error);
    });
    this.#socket.once("end", () => onEnd(failure));
    this.#socket.once("close", () => onEnd(failure));
    this.#socket.on("data", onBytes);
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve());
    });
  }

  /** Sends what has been written and a close_notify first, but not for long: a frozen peer takes neither. */
  close(): void {
    if (this.#socket.destroyed) return;
    const timer = setTimeout(() => this.#socket.destroy(), GOODBYE_MS);
    this.#socket.once("close", () => clearTimeout(timer));
    this.#socket.end(() => this.#socket.destroy());
  }
}

/** Whether TLS itself has failed: by an alert of the peer's, or by what it has sent. */
export function isTlsError(error: unknown): boolean {
  return codeOf(error).startsWith("ERR_SSL_");
}

/** TLS towards a backend. */
export interface BackendTls {
  readonly profile: TlsProfile;
  /** The name sent as SNI and looked for in the certificate; an IP address is only looked for. */
  readonly serverName: string;
}

/** A TLS handshake that failed: why, and whether the connection merely ended in its middle. */
export class HandshakeError extends Error {
  override readonly name = "HandshakeError";

  constructor(message: string, readonly connectionEnded: boolean) {
    super(message);
  }
}

const NO_ALPN = "The server does not offer HTTP/2 (ALPN): HAProxy cannot reach it with `alpn h2` " +
  "either; require_alpn = false takes it";

/**
 * Does the TLS handshake and judges the server's certificate and ALPN.
 *
 * It uses node:tls because Deno.startTls takes no client key, cannot leave the chain unverified, and refuses server
 * names like `web.1`.
 *
 * @param socket connected; on failure it is destroyed
 * @throws {HandshakeError}
 */
export async function handshake(
  socket: Socket,
  { profile, serverName }: BackendTls,
): Promise<TLSSocket> {
  const { insecureSkipVerify = false, requireAlpn = true } = profile.settings;
  let secured: TLSSocket;
  try {
    secured = connect({
      socket,
      secureContext: profile.context(),
      ALPNProtocols: ["h2"],
      // RFC 6066, section 3: an IP address is never sent as SNI.
      ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
      // The certificate is judged below, before anything is sent.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
  } catch (error) {
    socket.destroy();
    throw new HandshakeError(reasonOf(error), false);
  }
  try {
    await established(secured);
    const refusal = insecureSkipVerify ? undefined : refusalOf(secured, serverName);
    if (refusal !== undefined) throw new HandshakeError(refusal, false);
    if (typeof secured.alpnProtocol !== "string" && requireAlpn) {
      throw new HandshakeError(NO_ALPN, false);
    }
    return secured;
  } catch (error) {
    secured.destroy();
    throw error;
  }
}

function established(secured: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    // Stays for the socket's life: an error without a listener would end the process.
    secured.on("error", (error: NodeJS.ErrnoException) => {
      const ended = error.code === "ECONNRESET" || error.code === "EPIPE" ||
        /unexpected eof|UnexpectedEof|close_notify/i.test(error.message);
      const noAlpn = /no_application_protocol|NoApplicationProtocol/.test(error.message);
      reject(new HandshakeError(noAlpn ? NO_ALPN : describeHandshakeFailure(error), ended));
    });
    secured.once("close", () => reject(new HandshakeError(CLOSED, true)));
    secured.once("secureConnect", () => resolve());
  });
}

const CLOSED = "The peer closed the connection in the TLS handshake";
