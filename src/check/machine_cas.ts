import { rootCertificates } from "node:tls";
import { certificatesOf } from "./pem.ts";

/** Where the systems keep the CAs of the machine in one file: Debian, Fedora, openSUSE, Alpine. */
const FILES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * Reads the CAs of the machine: the file that `SSL_CERT_FILE` names (as for OpenSSL), or else the first
 * that is found where the systems keep it. Where there is none, those that come with the runtime
 * (Mozilla's). Deno can give them as well, but only with a permission that no command line can name.
 *
 * @param readTextFile reads a file; throws when it cannot
 */
export function readMachineCas(
  environment: Readonly<Record<string, string>>,
  readTextFile: (path: string) => string,
): readonly string[] {
  const named = environment["SSL_CERT_FILE"];
  for (const file of named === undefined ? FILES : [named]) {
    try {
      return certificatesOf(readTextFile(file));
    } catch {
      // Not this one. OpenSSL, too, passes over a SSL_CERT_FILE that cannot be read.
    }
  }
  return rootCertificates;
}
