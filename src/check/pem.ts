import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Takes the certificates out of a PEM text.
 *
 * @throws when there is none, or one that cannot be read
 */
export function certificatesOf(text: string): string[] {
  const certificates = text.match(CERTIFICATE) ?? [];
  if (certificates.length === 0) throw new Error("there is no PEM certificate in it");
  for (const [index, certificate] of certificates.entries()) {
    try {
      new X509Certificate(certificate);
    } catch {
      throw new Error(`certificate ${index + 1} in it cannot be read`);
    }
  }
  return certificates;
}

/** @throws when there is no private key, or one with a password */
export function privateKeyOf(text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch {
    throw new Error("there is no private key in it that can be read without a password");
  }
}
