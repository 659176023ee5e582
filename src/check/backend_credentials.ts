import { CallCredentials, ChannelCredentials, type experimental } from "@grpc/grpc-js";
import { isIP, type Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { reasonOf } from "../describe_error.ts";
import type { ConnectProgress } from "./connect_progress.ts";
import { gatherWrites } from "./gather_writes.ts";
import { guardReads } from "./guard_reads.ts";
import { describeHandshakeFailure, refusalOf } from "./peer_certificate.ts";
import type { TlsProfile } from "./tls_profile.ts";
import { Turns } from "./turns.ts";

/** TLS towards one backend. */
export interface BackendTls {
  readonly profile: TlsProfile;
  /** The name sent as SNI and looked for in the certificate; an IP address is only looked for. */
  readonly serverName: string;
}

/**
 * Credentials that do the TLS handshake of one channel themselves and write down how far the
 * connection has come. grpc-js reports every failure to connect as one text; the difference between a
 * peer that is not there and a certificate that has expired is lost in it. It also cannot check the
 * certificate of a backend that is named by its IP address.
 */
export class BackendCredentials extends ChannelCredentials {
  readonly #tls: BackendTls | undefined;
  readonly #progress: ConnectProgress;
  readonly #turns: Turns;
  readonly #admit: (count: number) => boolean;

  /**
   * @param turnMs how long an address may take for TLS and HTTP/2 while another that has answered TCP
   * waits, in milliseconds
   * @param admit told of what the peer sends once it is to speak HTTP/2, and whether it may be read
   */
  constructor(
    tls: BackendTls | undefined,
    progress: ConnectProgress,
    turnMs: number,
    admit: (count: number) => boolean,
  ) {
    super();
    this.#tls = tls;
    this.#progress = progress;
    this.#turns = new Turns(turnMs);
    this.#admit = admit;
  }

  _isSecure(): boolean {
    return this.#tls !== undefined;
  }

  _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  _createSecureConnector(): experimental.SecureConnector {
    return {
      connect: (socket) => this.#secure(socket),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => CallCredentials.createEmpty(),
      destroy: () => {},
    };
  }

  async #secure(socket: Socket): Promise<experimental.SecureConnectResult> {
    await this.#turns.take(socket);
    this.#progress.tlsFailure = undefined;
    this.#progress.address = socket.remoteAddress ?? "unknown";
    if (this.#tls === undefined) {
      this.#speakHttp2(socket);
      return { socket, secure: false };
    }
    this.#progress.enter("tls");
    try {
      const secured = await handshake(socket, this.#tls);
      this.#progress.isSilentAfterTls = () =>
        secured.alpnProtocol === "h2" && secured.bytesRead === 0;
      this.#speakHttp2(secured);
      return { socket: secured, secure: true };
    } catch (error) {
      this.#progress.tlsFailure = reasonOf(error);
      throw error;
    }
  }

  #speakHttp2(socket: Socket): void {
    this.#progress.enter("http2");
    gatherWrites(socket);
    guardReads(socket, this.#admit);
  }
}

function handshake(socket: Socket, { profile, serverName }: BackendTls): Promise<TLSSocket> {
  const verify = profile.settings.insecureSkipVerify !== true;
  return new Promise((resolve, reject) => {
    const secured = connect({
      socket,
      secureContext: profile.context(),
      ALPNProtocols: ["h2"],
      // RFC 6066, section 3: an IP address is never sent as SNI.
      ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
      // The certificate is judged below, before anybody uses the connection.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    // Stays for the socket's life: an error after the handshake reaches grpc-js by its session.
    secured.on("error", (error) => reject(new Error(describeHandshakeFailure(error))));
    secured.once("close", () => reject(new Error("The peer closed the connection")));
    secured.once("secureConnect", () => {
      const refusal = verify ? refusalOf(secured, serverName) : undefined;
      if (refusal === undefined) {
        resolve(secured);
      } else {
        reject(new Error(refusal));
        secured.destroy();
      }
    });
  });
}
