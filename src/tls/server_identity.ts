import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { contentsOf, extensionsOf, formatOid, readDer } from "./der.ts";

const SUBJECT_ALT_NAME = "2.5.29.17";
const COMMON_NAME = "2.5.4.3";

/** Tags of the kinds of names in a subjectAltName that count here (RFC 5280, section 4.2.1.6). */
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

/** The tag of a certificate's version. */
const VERSION = 0xa0;

/** The tags of strings in which an ASCII character is one byte. */
const STRINGS = [0x0c, 0x13, 0x14, 0x16]; // UTF8String, PrintableString, TeletexString, IA5String

/** The longest name (RFC 1035, section 2.3.4) with a dot behind it, in bytes. */
const MAX_NAME_LENGTH = 254;

/** Labels of letters, digits, `-` and `_`; the first one may have a `*` as a wildcard. */
const WELL_FORMED = /^[a-z0-9_*-]+(?:\.[a-z0-9_-]+)*\.?$/i;

/**
 * Says why a certificate is not for a server. The names that count are those of the subjectAltName and, where it has
 * no dNSName, the common name, as in Node.
 *
 * They are read from the certificate itself. `checkServerIdentity` of node:tls takes them from one text that joins
 * them by commas, and Deno (2.9.6) writes that text without quotes: a URI that holds `, DNS:other.test` would make
 * the certificate one for other.test (CVE-2021-44532), and one that holds a quote would fail the check. So the text
 * that is given to it here has only well-formed host names and addresses, none of which can pass for two.
 *
 * @param serverName a DNS name or an IP address
 * @param der the server's certificate; its signature has been verified
 * @returns an error whose message says so, or `undefined` where the certificate is for the server; never
 * throws
 */
export function identityProblem(serverName: string, der: Uint8Array): Error | undefined {
  const names = alternativeNames(der);
  const altNames = [
    ...names.dns.filter(isWellFormed).map((name) => `DNS:${name}`),
    ...names.addresses.map((address) => `IP Address:${address}`),
  ];
  const commonNames = names.commonNameCounts ? commonNamesOf(der).filter(isWellFormed) : [];
  // Node accepts several common names, though its types do not say so.
  const certificate: unknown = {
    subject: commonNames.length > 0 ? { CN: commonNames } : {},
    subjectaltname: altNames.join(", "),
  };
  return checkServerIdentity(serverName, certificate as PeerCertificate);
}

function isWellFormed(name: string): boolean {
  return name.length <= MAX_NAME_LENGTH && WELL_FORMED.test(name);
}

/** The hosts in the subjectAltName of a certificate. */
interface AlternativeNames {
  /** As they stand there, well-formed or not. */
  readonly dns: readonly string[];
  readonly addresses: readonly string[];
  /** RFC 6125, section 6.4.4: a common name stands in for a dNSName where there is none. */
  readonly commonNameCounts: boolean;
}

function alternativeNames(der: Uint8Array): AlternativeNames {
  const extensions = extensionsOf(der).filter(({ oid }) => oid === SUBJECT_ALT_NAME);
  const names = extensions.flatMap(({ value }) => contentsOf(value));
  const dns = names.filter(({ tag }) => tag === DNS_NAME).map(({ content }) => textOf(content));
  const addresses = names.filter(({ tag }) => tag === IP_ADDRESS)
    .flatMap(({ content }) => formatAddress(content) ?? []);
  // Where the end cannot be read, there may be a dNSName in it.
  const isRead = extensions.every(({ value }) => isWhole(value));
  return { dns, addresses, commonNameCounts: isRead && dns.length === 0 };
}

function isWhole(sequence: Uint8Array): boolean {
  const read = contentsOf(sequence).reduce((size, { bytes }) => size + bytes.length, 0);
  return readDer(sequence)?.content.length === read;
}

/** @returns the common names in the subject of a certificate (RFC 5280, section 4.1) */
function commonNamesOf(der: Uint8Array): string[] {
  const [tbs] = contentsOf(der);
  // Serial number, signature, issuer, validity, subject; a version before them in all but the oldest.
  const fields = contentsOf(tbs?.bytes).filter(({ tag }) => tag !== VERSION);
  return contentsOf(fields[4]?.bytes)
    .flatMap(({ bytes }) => contentsOf(bytes))
    .flatMap(({ bytes }) => {
      const [type, value] = contentsOf(bytes);
      const isCommonName = type !== undefined && formatOid(type.content) === COMMON_NAME;
      return isCommonName && value !== undefined && STRINGS.includes(value.tag)
        ? [textOf(value.content)]
        : [];
    });
}

/** @returns one character for each byte, so that no other character can pass for an ASCII one */
function textOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

/** @returns an address of 4 or 16 bytes as text; `undefined` where it is neither */
function formatAddress(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return undefined;
  const hex = bytes.toHex().match(/.{4}/g) ?? [];
  return hex.join(":");
}
