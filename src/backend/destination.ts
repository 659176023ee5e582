import type { TlsProfile } from "../tls/profile.ts";

/** TLS towards a backend. */
export interface BackendTls {
  readonly profile: TlsProfile;
  /** The name sent as SNI and looked for in the certificate; an IP address is only looked for. */
  readonly serverName: string;
}

/** Where a connection leads. */
export interface Destination {
  /** The name by which it was asked for first, or the address itself. Says nothing of where it leads. */
  readonly host: string;
  /** An IP address. */
  readonly address: string;
  readonly port: number;
  readonly tls: BackendTls | undefined;
}

/**
 * @returns a text that is the same for destinations whose connections can carry each other's calls; TLS
 * material is compared by its content
 */
export function destinationKey({ address, port, tls }: Destination): string {
  const plain = `${address} ${port}`;
  return tls === undefined ? plain : `${plain} ${tls.serverName} ${tls.profile.fingerprint}`;
}
