import { certificateWarning, ownCertificates } from "../tls/client_certificate.ts";
import type { Configuration } from "./configuration.ts";

/** HAProxy's `agent-inter` when it is not set, less some room for the way, in milliseconds. */
const SAFE_CHECK_TIMEOUT_MS = 1950;

/**
 * @param now for the certificates' validity
 * @returns a warning for each thing that is allowed but hardly meant
 */
export function warningsAbout(
  { settings, tlsProfiles, metadata }: Configuration,
  now: Date,
): string[] {
  const warnings: string[] = [];
  if (settings.check_timeout_ms > SAFE_CHECK_TIMEOUT_MS) {
    warnings.push(
      `check_timeout_ms: ${settings.check_timeout_ms} is more than ${SAFE_CHECK_TIMEOUT_MS}: HAProxy ` +
        "gives up after agent-inter (2 s unless set) and then keeps a dead server UP",
    );
  }
  const open = settings.server_bind_address.filter((address) => !isLoopback(address));
  if (open.length > 0 && settings.allow_clients.length + settings.allow_backends.length === 0) {
    warnings.push(
      `server_bind_address: whoever reaches ${
        open.join(", ")
      } can have the agent connect to any host ` +
        "and port: set allow_clients or allow_backends",
    );
  }
  if (metadata.size > 0 && settings.allow_backends.length === 0) {
    warnings.push("metadata: whoever may ask can have it sent to any host: set allow_backends");
  }
  if (settings.log_destination === "console" && settings.log_file_path !== undefined) {
    warnings.push("log_file_path: without log_destination = file no file is written");
  }
  if (settings.log_file_rotation === "never" && settings.log_file_max_files !== undefined) {
    warnings.push(
      "log_file_max_files: without log_file_rotation there is one file, which only grows",
    );
  }
  for (const { name, settings, lacksCas } of tlsProfiles.values()) {
    if (lacksCas !== undefined) {
      const checks = name === "" ? "with ssl" : `with tls=${name}`;
      warnings.push(
        `${name === "" ? "tls_" : `tls.${name}.`}ca_file: checks ${checks} are down. ${lacksCas}`,
      );
    }
    if (settings.insecureSkipVerify === true) {
      warnings.push(
        `tls.${name}.insecure_skip_verify: any certificate is taken, so anybody can answer`,
      );
    }
  }
  const certificates = ownCertificates(tlsProfiles.values());
  return [...warnings, ...certificates.flatMap((one) => certificateWarning(one, now) ?? [])];
}

function isLoopback(address: string): boolean {
  return address === "localhost" || address === "::1" || /^127\.\d+\.\d+\.\d+$/.test(address);
}
