import { X509Certificate } from "node:crypto";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";

/** A file of the TLS configuration that cannot be used; the message says why. */
export class TlsFileError extends Error {
  override readonly name = "TlsFileError";
}

/**
 * Makes what TLS connections to backends trust.
 *
 * @param caFile path of a PEM file with the CAs to trust; without it, the CAs of the machine
 * @throws {TlsFileError} when the file cannot be read or holds no certificate
 */
export function loadTrust(caFile: string | undefined): () => SecureContext {
  const ca = caFile === undefined ? undefined : readCertificates(caFile);
  let context: SecureContext | undefined;
  // The machine's CAs are many, and most agents never speak TLS: parsed at the first use.
  return () => context ??= createSecureContext({ ca: ca ?? getCACertificates("system") });
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Node accepts any text as CAs and fails at each handshake instead, so they are read here. */
function readCertificates(file: string): string[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    throw new TlsFileError(error instanceof Error ? error.message : String(error));
  }
  const certificates = text.match(PEM_CERTIFICATE) ?? [];
  if (certificates.length === 0) throw new TlsFileError("there is no PEM certificate in it");
  for (const [index, certificate] of certificates.entries()) {
    try {
      new X509Certificate(certificate);
    } catch {
      throw new TlsFileError(`certificate ${index + 1} in it cannot be read`);
    }
  }
  return certificates;
}
