import { X509Certificate } from "node:crypto";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import {
  contentsOf,
  DER,
  type DerValue,
  extensionsOf,
  formatOid,
  readDer,
  readDerValues,
} from "./der.ts";
import { identityProblem } from "./server_identity.ts";

/** How many characters are shown of a distinguished name, which is the peer's own text. */
const MAX_NAME_LENGTH = 200;

/** How many certificates of a chain are looked at: real chains are shorter. */
const MAX_CHAIN = 10;

/**
 * Judges the certificate that a peer has shown. Deno has one message for most causes, and for some a misleading one;
 * whoever is woken by a failure needs to know the cause.
 *
 * @param secured after its handshake, made with `rejectUnauthorized: false`
 * @param serverName the name or IP address that the certificate must be for
 * @returns why it is not accepted, or `undefined`
 */
export function refusalOf(secured: TLSSocket, serverName: string): string | undefined {
  if (!secured.authorized) {
    const reason = String(secured.authorizationError);
    try {
      return describeRefusal(chainOf(secured), reason, new Date());
    } catch { // X509Certificate throws where it cannot parse what the peer has sent.
      return reason;
    }
  }
  return identityProblem(serverName, secured.getPeerCertificate().raw)?.message;
}

/**
 * Says why a certificate chain is not accepted.
 *
 * @param chain the peer's certificate, then those of the CAs above it, as far as they are known
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
    const problem = problemOfCa(ca, now);
    if (problem !== undefined) return `The certificate of the CA ${nameIn(ca.subject)} ${problem}`;
  }
  const refused = `The certificate, issued by ${nameIn(leaf.issuer)}, is not trusted`;
  if (!isSelfIssued(last)) {
    return `${refused}: no certificate of ${nameIn(last.issuer)} is trusted, or sent along`;
  }
  return cas.some(hasNameConstraints)
    ? `${refused}: a CA above it may issue for certain names only (nameConstraints)`
    : `${refused}: ${reason}`;
}

/** Of a self-issued certificate, which is a root, only the key counts. */
function problemOfCa(ca: X509Certificate, now: Date): string | undefined {
  if (isSelfIssued(ca)) return unsupportedKey(ca);
  return outdatedness(ca, now) ?? (ca.ca ? unsupportedIn(ca) : "is not that of a CA");
}

function isSelfIssued({ issuer, subject }: X509Certificate): boolean {
  return issuer === subject;
}

/** @returns what an error means that ended a handshake before the peer's certificate was shown; else its own text */
export function describeHandshakeFailure(error: Error): string {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (NOT_TRUSTED.includes(code)) return CANNOT_BE_USED;
  // Deno has one code for this alert and for what it has none for.
  if (/\bHandshakeFailure\b/.test(error.message)) return NOTHING_IN_COMMON;
  if (/\bUnrecognisedName\b/.test(error.message)) return NO_SUCH_NAME;
  return NO_TLS_RECORD.test(error.message) ? NO_TLS : error.message;
}

/**
 * Trust is judged only after the handshake, so within it these codes mean that a certificate cannot be used at all,
 * with or without verification: Deno has no code of its own for that.
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

const NOTHING_IN_COMMON =
  "The peer ended the handshake: it has no cipher or no kind of key in common " +
  "(a key that is RSA-PSS, Ed448 or on secp256k1 is not supported here, one on P-521 with TLS 1.3 only), " +
  "or demands a client certificate";

/** What servers say that are strict about SNI. */
const NO_SUCH_NAME =
  "The server has no certificate for the name that it was asked for (UnrecognisedName)";

/** The first byte begins no TLS record: the peer speaks plaintext, such as HTTP/1.1 or HTTP/2. */
const NO_TLS_RECORD = /\bInvalidContentType\b/;
const NO_TLS = "The peer does not speak TLS: should the line say no-ssl?";

/** @returns the peer's certificate, and those above it, whether sent by the peer or trusted here */
function chainOf(secured: TLSSocket): readonly X509Certificate[] {
  const chain = new Map<string, X509Certificate>();
  let certificate: DetailedPeerCertificate | undefined = secured.getPeerCertificate(true);
  for (let steps = 0; steps < MAX_CHAIN && certificate?.raw !== undefined; steps++) {
    // Deno gives the peer's own certificate once more, as its issuer.
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

/** The extensions that webpki, the verifier of rustls, understands: no others may be critical. */
const UNDERSTOOD = [
  "2.5.29.15", // keyUsage
  "2.5.29.17", // subjectAltName
  "2.5.29.19", // basicConstraints
  "2.5.29.30", // nameConstraints
  "2.5.29.31", // cRLDistributionPoints
  "2.5.29.37", // extKeyUsage
];

const EXTENSION_NAMES: Readonly<Record<string, string>> = {
  "2.5.29.18": "issuerAltName",
  "2.5.29.32": "certificatePolicies",
  "2.5.29.33": "policyMappings",
  "2.5.29.36": "policyConstraints",
  "2.5.29.54": "inhibitAnyPolicy",
  "1.3.6.1.5.5.7.1.24": "tlsfeature",
};

const NAME_CONSTRAINTS = "2.5.29.30";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";

/** Signatures of shorter RSA keys are not accepted. */
const MIN_RSA_BITS = 2048;

/**
 * Says what TLS in Deno (rustls) does not accept in a certificate, whichever CA has issued it, though OpenSSL mostly
 * does. docs/operations.md has a table of it.
 *
 * @returns the problem, to be read after "The certificate"; `undefined` where none is known
 */
export function unsupportedIn(certificate: X509Certificate): string | undefined {
  const unknown = extensionsOf(certificate.raw)
    .filter(({ oid, critical }) => critical && !UNDERSTOOD.includes(oid))
    .map(({ oid }) => EXTENSION_NAMES[oid] ?? oid);
  if (unknown.length > 0) {
    return `has a critical extension that is not understood here: ${unknown.join(", ")}`;
  }
  return unsupportedKey(certificate);
}

/** @returns the problem with a certificate's key, to be read after "The certificate" */
function unsupportedKey(certificate: X509Certificate): string | undefined {
  try {
    const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey;
    const bits = details?.modulusLength ?? MIN_RSA_BITS;
    return type === "rsa" && bits < MIN_RSA_BITS
      ? `has an RSA key of ${bits} bits: ${MIN_RSA_BITS} are the least that is accepted here`
      : undefined;
  } catch { // X509Certificate knows fewer kinds of keys than TLS does, so this is no problem.
    return undefined;
  }
}

/** Whether a certificate's key can be used with TLS 1.3 only, as P-521 in rustls. */
export function needsTls13(certificate: X509Certificate): boolean {
  try {
    return certificate.publicKey.asymmetricKeyDetails?.namedCurve === "secp521r1";
  } catch { // As in unsupportedKey.
    return false;
  }
}

/** @returns the problem of {@linkcode unsupportedIn}, or one with a certificate as that of a server */
export function unsupportedInServer(certificate: X509Certificate): string | undefined {
  const unsupported = unsupportedIn(certificate) ?? unsupportedSignature(certificate);
  if (unsupported !== undefined) return unsupported;
  const usage = extensionsOf(certificate.raw).find(({ oid }) => oid === EXTENDED_KEY_USAGE);
  const uses = usage && contentsOf(usage.value).map(({ content }) => formatOid(content));
  if (uses !== undefined && !uses.includes(SERVER_AUTH)) {
    return "is not for servers: its extended key usage lacks serverAuth";
  }
  return certificate.ca
    ? "is that of a CA (CA:TRUE), which is not taken for a server unless ca_file holds the very same"
    : undefined;
}

/** Whether a certificate is that of a CA that may issue for certain names only. */
function hasNameConstraints({ raw }: X509Certificate): boolean {
  return extensionsOf(raw).some(({ oid }) => oid === NAME_CONSTRAINTS);
}

/** Signatures that can be verified; for RSASSA-PSS that depends on its parameters. */
const VERIFIED_SIGNATURES = [
  "1.2.840.10045.4.3.2", // ecdsa-with-SHA256
  "1.2.840.10045.4.3.3", // ecdsa-with-SHA384
  "1.2.840.10045.4.3.4", // ecdsa-with-SHA512
  "1.2.840.113549.1.1.11", // sha256WithRSAEncryption
  "1.2.840.113549.1.1.12", // sha384WithRSAEncryption
  "1.2.840.113549.1.1.13", // sha512WithRSAEncryption
  "1.3.101.112", // Ed25519
];
const RSASSA_PSS = "1.2.840.113549.1.1.10";

const SIGNATURE_NAMES: Readonly<Record<string, string>> = {
  "1.2.840.10045.4.1": "ecdsa-with-SHA1",
  "1.2.840.10045.4.3.1": "ecdsa-with-SHA224",
  "1.2.840.113549.1.1.4": "md5WithRSAEncryption",
  "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
  "1.2.840.113549.1.1.14": "sha224WithRSAEncryption",
  "1.3.101.113": "Ed448",
};

/** The length of the salt of RSASSA-PSS by the hash: it has to be that of the hash (RFC 8017, section 9.1). */
const PSS_SALT_BYTES: Readonly<Record<string, number>> = {
  "2.16.840.1.101.3.4.2.1": 32, // SHA-256
  "2.16.840.1.101.3.4.2.2": 48, // SHA-384
  "2.16.840.1.101.3.4.2.3": 64, // SHA-512
};

/** @returns the problem with a certificate's signature, to be read after "The certificate" */
function unsupportedSignature({ raw }: X509Certificate): string | undefined {
  const [, algorithm] = contentsOf(raw);
  if (algorithm === undefined) return undefined;
  const [identifier, parameters] = [...readDerValues(algorithm.content)];
  const oid = formatOid(identifier?.content ?? new Uint8Array());
  if (VERIFIED_SIGNATURES.includes(oid)) return undefined;
  if (oid !== RSASSA_PSS) {
    return `is signed with ${SIGNATURE_NAMES[oid] ?? oid}, which is not accepted here`;
  }
  return isUsualPss(parameters)
    ? undefined
    : "is signed with RSASSA-PSS and a salt that is not as long as the hash, which is not accepted here";
}

/** Whether RSASSA-PSS has the usual parameters (RFC 4055, section 3.1): a salt as long as the hash. */
function isUsualPss(parameters: DerValue | undefined): boolean {
  const fields = parameters === undefined ? [] : [...readDerValues(parameters.content)];
  const field = (tag: number) => fields.find((value) => value.tag === tag)?.content;
  const [hash] = contentsOf(field(DER.context0));
  const salt = readDer(field(DER.context2) ?? new Uint8Array())?.content[0];
  return hash !== undefined && salt !== undefined &&
    PSS_SALT_BYTES[formatOid(hash.content)] === salt;
}
