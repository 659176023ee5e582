import { isIP, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { reasonOf } from "../describe_error.ts";
import type { BackendTls } from "./destination.ts";

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
 * Of node:tls, since Deno.startTls takes no client key, cannot leave the chain unverified, and refuses
 * server names like `web.1`. Loaded at the first call: most agents never speak TLS.
 *
 * @param socket connected; on failure it is destroyed
 * @throws {HandshakeError}
 */
export async function handshake(
  socket: Socket,
  { profile, serverName }: BackendTls,
): Promise<TLSSocket> {
  const [{ connect }, { describeHandshakeFailure, refusalOf }] = await Promise.all([
    import("node:tls"),
    import("../tls/peer_certificate.ts"),
  ]);
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
    await established(secured, describeHandshakeFailure);
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

function established(secured: TLSSocket, describe: (error: Error) => string): Promise<void> {
  return new Promise((resolve, reject) => {
    // Stays for the socket's life: an error without a listener would end the process.
    secured.on("error", (error: NodeJS.ErrnoException) => {
      const ended = error.code === "ECONNRESET" || error.code === "EPIPE" ||
        /unexpected eof|UnexpectedEof|close_notify/i.test(error.message);
      const noAlpn = /no_application_protocol|NoApplicationProtocol/.test(error.message);
      reject(new HandshakeError(noAlpn ? NO_ALPN : describe(error), ended));
    });
    secured.once("close", () => reject(new HandshakeError(CLOSED, true)));
    secured.once("secureConnect", () => resolve());
  });
}

const CLOSED = "The peer closed the connection in the TLS handshake";
