import type { KeyObject, X509Certificate } from "node:crypto";
import { duplexPair } from "node:stream";
import { connect, createSecureContext, TLSSocket } from "node:tls";
import { reasonOf } from "../describe_error.ts";
import { needsTls13, unsupportedIn } from "./certificate.ts";

/** @returns why a key does not belong to the first certificate of a chain, if it does not */
export function keyMismatch(chain: readonly X509Certificate[], key: KeyObject): string | undefined {
  const owner = chain.findIndex((certificate) => certificate.checkPrivateKey(key));
  if (owner === 0) return undefined;
  return owner < 0
    ? "this is not the key of the certificate in cert_file"
    : `this is the key of certificate ${owner + 1} in cert_file, and has to be that of the first`;
}

/** How long the handshake in memory may take, in milliseconds: long, since the machine may be busy. */
const TIMEOUT_MS = 10_000;

const ACCEPTED_KEYS =
  "keys that can be used are RSA of 2048 bits or more, ECDSA on P-256, P-384 or " +
  "(with TLS 1.3 only) P-521, and Ed25519";

/**
 * Tries a certificate and its key out by a handshake in memory, in which both ends show the certificate. Node accepts
 * many with which no handshake can be made: if that showed only at the first check, every backend would be down.
 *
 * @param pem the certificate with its chain, and the key
 * @param chain the same certificates
 * @returns why it cannot be used, if it cannot
 */
export async function handshakeProblem(
  pem: { readonly cert?: string; readonly key?: string },
  chain: readonly X509Certificate[],
): Promise<string | undefined> {
  try {
    await shakeHands(pem);
    return undefined;
  } catch (error) {
    const unsupported = chain.map(unsupportedIn).find((unsupported) => unsupported !== undefined);
    const reason = unsupported === undefined ? ACCEPTED_KEYS : `the certificate ${unsupported}`;
    return `no TLS handshake can be made with it: ${reason} (${reasonOf(error)})`;
  }
}

async function shakeHands(pem: { readonly cert?: string; readonly key?: string }): Promise<void> {
  const secureContext = createSecureContext({ ...pem, ca: [] });
  const [here, there] = duplexPair();
  const server = new TLSSocket(there, {
    isServer: true,
    secureContext,
    requestCert: true,
    rejectUnauthorized: false,
  });
  const client = connect({ socket: here, secureContext, rejectUnauthorized: false });
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error("it does not end")), TIMEOUT_MS);
      server.once("error", reject);
      client.once("error", reject);
      // The server finishes last: it has then verified the client's signature.
      server.once("secure", resolve);
    });
  } finally {
    clearTimeout(timer);
    client.on("error", () => {});
    server.on("error", () => {});
    client.destroy();
    server.destroy();
  }
}

/** @returns a warning of a key with which handshakes can be made, but not with every server */
export function keyWarning({ name, chain: [own] }: ProfileWithChain): string | undefined {
  if (own === undefined || !needsTls13(own)) return undefined;
  return `${certificateLabel(name, subjectOf(own))} has a key on P-521, which can be used with ` +
    "TLS 1.3 only: servers with TLS 1.2 end the handshake";
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** How many days before its end a certificate is warned of. */
const SOON_DAYS = 14;

/** The part of a TLS profile that concerns its client certificate. */
interface ProfileWithChain {
  readonly name: string;
  /** The client certificate, and those of CAs that are sent along; empty without one. */
  readonly chain: readonly X509Certificate[];
}

/** A certificate that the agent shows to backends. */
export interface OwnCertificate {
  /** The TLS profile (`tls=NAME`) that shows it; empty for the one without a name. */
  readonly profile: string;
  readonly subject: string;
  readonly validFrom: Date;
  readonly validTo: Date;
}

/** @returns the certificates that some profiles show, those of CAs that they send along included */
export function ownCertificates(profiles: Iterable<ProfileWithChain>): OwnCertificate[] {
  return [...profiles].flatMap(({ name, chain }) =>
    chain.map((certificate) => ({
      profile: name,
      subject: subjectOf(certificate),
      validFrom: new Date(certificate.validFrom),
      validTo: new Date(certificate.validTo),
    }))
  );
}

/** @returns a warning of a certificate that has expired, is not valid yet, or expires soon */
export function certificateWarning(
  { profile, subject, validFrom, validTo }: OwnCertificate,
  now: Date,
): string | undefined {
  const certificate = certificateLabel(profile, subject);
  if (now >= validTo) return `${certificate} expired at ${validTo.toISOString()}`;
  if (now < validFrom) return `${certificate} is not valid before ${validFrom.toISOString()}`;
  const days = (validTo.getTime() - now.getTime()) / DAY_MS;
  if (days > SOON_DAYS) return undefined;
  const left = days < 2 ? "within two days" : `in ${Math.floor(days)} days`;
  return `${certificate} expires ${left}, at ${validTo.toISOString()}`;
}

function certificateLabel(profile: string, subject: string): string {
  const setting = profile === "" ? "tls_cert_file" : `tls.${profile}.cert_file`;
  return `${setting}: the certificate ${subject}`;
}

/** @returns the subject in one line */
function subjectOf({ subject }: X509Certificate): string {
  return subject.replaceAll("\n", ", ");
}
