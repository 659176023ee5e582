import type { X509Certificate } from "node:crypto";

/**
 * Says what is wrong with a certificate that was not accepted. The runtime has one text for all of it
 * ("unable to verify the first certificate"), which does not help the one who has to mend it.
 *
 * @param certificate the peer's, if it sent one
 * @param now the time of day in milliseconds since 1970
 */
export function describeCertificateFault(
  certificate: X509Certificate | undefined,
  now: number,
): string {
  if (certificate === undefined) return "The peer sent no certificate";
  const { validTo, validFrom, issuer } = certificate;
  if (Date.parse(validTo) < now) return `The certificate has expired, on ${validTo}`;
  if (Date.parse(validFrom) > now) return `The certificate is not valid before ${validFrom}`;
  const signer = issuer.split("\n").join(", ");
  return `The certificate is not by a CA that is trusted, or not for servers: issued by ${signer}`;
}
