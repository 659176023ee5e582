import type { X509Certificate } from "node:crypto";
import { checkServerIdentity, type TLSSocket } from "node:tls";

/** Distinguished names are the peer's own words. */
const MAX_NAME_LENGTH = 200;

/**
 * Judges the certificate that a peer has shown. Deno has one text for a certificate that has expired and
 * for one of an unknown authority; whoever is woken by it needs to know which.
 *
 * @param secured after its handshake, made with `rejectUnauthorized: false`
 * @param serverName the name or IP address that the certificate must be for
 * @returns why it is not accepted, or `undefined`
 */
export function refusalOf(secured: TLSSocket, serverName: string): string | undefined {
  if (!secured.authorized) {
    const certificate = secured.getPeerX509Certificate();
    const reason = String(secured.authorizationError);
    return certificate === undefined ? reason : describeRefusal(certificate, reason);
  }
  return checkServerIdentity(serverName, secured.getPeerCertificate())?.message;
}

function describeRefusal(certificate: X509Certificate, reason: string): string {
  const now = new Date();
  const from = new Date(certificate.validFrom);
  const to = new Date(certificate.validTo);
  if (now > to) return `The certificate expired at ${to.toISOString()}`;
  if (now < from) return `The certificate is not valid before ${from.toISOString()}`;
  const issuer = certificate.issuer.replaceAll("\n", ", ").slice(0, MAX_NAME_LENGTH);
  return `The certificate, issued by ${issuer}, is not trusted: ${reason}`;
}
