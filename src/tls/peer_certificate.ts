import { X509Certificate } from "node:crypto";
import { checkServerIdentity, type DetailedPeerCertificate, type TLSSocket } from "node:tls";
import {
  hasNameConstraints,
  unsupportedIn,
  unsupportedInServer,
  unsupportedKey,
} from "./certificate.ts";

/** Distinguished names are the peer's own words. */
const MAX_NAME_LENGTH = 200;

/** A longer chain is not looked through: nobody's is. */
const MAX_CHAIN = 10;

/**
 * Judges the certificate that a peer has shown. Deno has one text for most of what can be the matter, and
 * in part a misleading one; whoever is woken by it needs to know which.
 *
 * @param secured after its handshake, made with `rejectUnauthorized: false`
 * @param serverName the name or IP address that the certificate must be for
 * @returns why it is not accepted, or `undefined`
 */
export function refusalOf(secured: TLSSocket, serverName: string): string | undefined {
  if (!secured.authorized) {
    const reason = String(secured.authorizationError);
    return describeRefusal(chainOf(secured), reason, new Date());
  }
  return checkServerIdentity(serverName, secured.getPeerCertificate())?.message;
}

/**
 * Says why a certificate chain is not accepted.
 *
 * @param chain the peer's certificate first; then those of the CAs, as far as they are known
 * @param reason what Deno says
 * @param now for the certificates' validity
 */
function describeRefusal(
  chain: readonly X509Certificate[],
  reason: string,
  now: Date,
): string {
  const [leaf, ...cas] = chain;
  const last = chain.at(-1);
  if (leaf === undefined || last === undefined) return reason;
  const outdated = outdatedness(leaf, now);
  if (outdated !== undefined) return `The certificate ${outdated}`;
  if (isSelfIssued(leaf) && leaf.checkIssued(leaf)) {
    return "The certificate is self-signed, and not among the CAs that are trusted";
  }
  const unsupported = unsupportedInServer(leaf);
  if (unsupported !== undefined) return `The certificate ${unsupported}`;
  for (const ca of cas) {
    const unsupported = oddityOfCa(ca, now);
    if (unsupported !== undefined) {
      return `The certificate of the CA ${nameIn(ca.subject)} ${unsupported}`;
    }
  }
  const refused = `The certificate, issued by ${nameIn(leaf.issuer)}, is not trusted`;
  if (!isSelfIssued(last)) {
    return `${refused}: no certificate of ${nameIn(last.issuer)} is trusted, or sent along`;
  }
  return cas.some(hasNameConstraints)
    ? `${refused}: a CA above it may issue for certain names only (nameConstraints)`
    : `${refused}: ${reason}`;
}

/** A self-issued certificate is trusted, or not, as it is: only its key counts. */
function oddityOfCa(ca: X509Certificate, now: Date): string | undefined {
  if (isSelfIssued(ca)) return unsupportedKey(ca);
  return outdatedness(ca, now) ?? (ca.ca ? unsupportedIn(ca) : "is not that of a CA");
}

function isSelfIssued({ issuer, subject }: X509Certificate): boolean {
  return issuer === subject;
}

/**
 * What an error means that Deno raises in the midst of a handshake, before it shows the peer's certificate.
 *
 * @returns it in words, or the error's own words
 */
export function describeHandshakeFailure(error: Error): string {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (NOT_TRUSTED.includes(code)) return CANNOT_BE_USED;
  return code === HANDSHAKE_FAILURE_ALERT ? NOTHING_IN_COMMON : error.message;
}

/**
 * Where trust is judged only after the handshake, these come of a certificate that cannot be used at all,
 * with verification or without: Deno has no code of its own for that.
 */
const NOT_TRUSTED = [
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
];
const CANNOT_BE_USED = "The certificate cannot be used: it has a critical extension that is not " +
  "understood here (policyConstraints, inhibitAnyPolicy, certificatePolicies or another one), or an " +
  "RSA key of less than 2048 bits";

const HANDSHAKE_FAILURE_ALERT = "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE";
const NOTHING_IN_COMMON =
  "The peer ended the handshake: it has no cipher or no kind of key in common " +
  "(a key that is RSA-PSS, Ed448 or on secp256k1 is not supported here), or demands a client certificate";

/** The peer's certificate, and those above it, be they sent by the peer or trusted here. */
function chainOf(secured: TLSSocket): readonly X509Certificate[] {
  const chain = new Map<string, X509Certificate>();
  let certificate: DetailedPeerCertificate | undefined = secured.getPeerCertificate(true);
  for (let steps = 0; steps < MAX_CHAIN && certificate?.raw !== undefined; steps++) {
    // Deno gives the peer's own certificate once more as its issuer.
    const parsed = new X509Certificate(certificate.raw);
    chain.set(parsed.fingerprint256, parsed);
    certificate = certificate.issuerCertificate;
  }
  return [...chain.values()];
}

function outdatedness({ validFrom, validTo }: X509Certificate, now: Date): string | undefined {
  const [from, to] = [new Date(validFrom), new Date(validTo)];
  if (now > to) return `expired at ${to.toISOString()}`;
  return now < from ? `is not valid before ${from.toISOString()}` : undefined;
}

function nameIn(distinguishedName: string): string {
  return distinguishedName.replaceAll("\n", ", ").slice(0, MAX_NAME_LENGTH);
}
