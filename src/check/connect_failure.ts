import type { ConnectPhase, ConnectProgress } from "./connect_progress.ts";
import { saysDescriptorsLack } from "./descriptors.ts";
import type { TlsProfile } from "./tls_profile.ts";
import type { Verdict } from "./verdict.ts";

/** Why no connection could be made. */
export type ConnectFailure = Extract<
  Verdict,
  { kind: "unreachable" | "timeout" | "tls" | "dns" | "denied" | "no_descriptor" | "internal" }
>;

/** @returns what it means that grpc-js could not connect, by how far the connection had come */
export function connectFailure(
  grpcDetails: string,
  progress: ConnectProgress,
  profile: TlsProfile | undefined,
): ConnectFailure {
  const tlsFailure = progress.tlsFailure ?? refusedClientCertificate(progress, profile);
  if (tlsFailure !== undefined) return { kind: "tls", detail: tlsFailure };
  const detail = unwrapped(grpcDetails);
  // Later the text could be the peer's.
  const isOurs = progress.phase === "connect" && saysDescriptorsLack(detail);
  return { kind: isOurs ? "no_descriptor" : "unreachable", detail };
}

/** @returns that the time to connect is over, by how far the connection had come */
export function connectTimeout({ phase }: ConnectProgress): ConnectFailure {
  return { kind: "timeout", detail: TIMEOUT_DETAILS[phase] };
}

const TIMEOUT_DETAILS: Readonly<Record<ConnectPhase, string>> = {
  resolve: "The name was not resolved in time",
  connect: "The TCP connection was not made in time",
  tls: "The TLS handshake did not end in time",
  http2: "The peer sent no HTTP/2 SETTINGS in time",
};

/**
 * With TLS 1.3 a server judges the client's certificate after the handshake has ended for the client:
 * it closes, and its alert seldom gets past Deno (which reports a broken pipe, or nothing at all).
 */
function refusedClientCertificate(
  progress: ConnectProgress,
  profile: TlsProfile | undefined,
): string | undefined {
  if (!progress.isSilentAfterTls()) return undefined;
  return profile?.settings.certFile === undefined
    ? "The peer closed the connection after the TLS handshake: does it demand a client certificate?"
    : "The peer closed the connection after the TLS handshake: does it refuse the client certificate?";
}

/** Takes grpc-js's wrapping off: "No connection established. Last error: ... . Resolution note: " */
function unwrapped(details: string): string {
  const [, cause] = /Last error: (?:Error: )?(.*?)\.? Resolution note:/.exec(details) ?? [];
  return (cause ?? details).replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)$/, "");
}
