import type { X509Certificate } from "node:crypto";
import {
  contentsOf,
  DER,
  type DerValue,
  extensionsOf,
  formatOid,
  readDer,
  readDerValues,
} from "./encoding.ts";

/** Extensions that rustls' verifier, webpki, reads: others must not be critical. */
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

/** What an RSA key with fewer bits has signed is not accepted. */
const MIN_RSA_BITS = 2048;

/**
 * Says what TLS in Deno (rustls) does not take in a certificate, whatever CA has issued it, though
 * OpenSSL does in most cases. docs/operations.md has a table of it.
 *
 * @returns what is the matter, to be read after "The certificate"; `undefined` where nothing is known
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

/** @returns what is the matter with the key of a certificate, to be read after "The certificate" */
export function unsupportedKey(certificate: X509Certificate): string | undefined {
  try {
    const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey;
    const bits = details?.modulusLength ?? MIN_RSA_BITS;
    return type === "rsa" && bits < MIN_RSA_BITS
      ? `has an RSA key of ${bits} bits: ${MIN_RSA_BITS} are the least that is accepted here`
      : undefined;
  } catch { // Node's X509Certificate knows fewer kinds of keys than TLS does, so that says nothing
    return undefined;
  }
}

/** @returns {@linkcode unsupportedIn}, and what speaks against a certificate as that of a server */
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
export function hasNameConstraints({ raw }: X509Certificate): boolean {
  return extensionsOf(raw).some(({ oid }) => oid === NAME_CONSTRAINTS);
}

/** Signatures that are verified; that of RSASSA-PSS depends on its parameters. */
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

/** By the hash, how long the salt of RSASSA-PSS has to be: as long as the hash (RFC 8017, section 9.1). */
const PSS_SALT_BYTES: Readonly<Record<string, number>> = {
  "2.16.840.1.101.3.4.2.1": 32, // SHA-256
  "2.16.840.1.101.3.4.2.2": 48, // SHA-384
  "2.16.840.1.101.3.4.2.3": 64, // SHA-512
};

/** @returns what is the matter with how a certificate was signed, to be read after "The certificate" */
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

/** Whether the parameters of RSASSA-PSS (RFC 4055, section 3.1) are those in use: salt like hash. */
function isUsualPss(parameters: DerValue | undefined): boolean {
  const fields = parameters === undefined ? [] : [...readDerValues(parameters.content)];
  const field = (tag: number) => fields.find((value) => value.tag === tag)?.content;
  const [hash] = contentsOf(field(DER.context0));
  const salt = readDer(field(DER.context2) ?? new Uint8Array())?.content[0];
  return hash !== undefined && salt !== undefined &&
    PSS_SALT_BYTES[formatOid(hash.content)] === salt;
}
