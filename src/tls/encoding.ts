import { Buffer } from "node:buffer";
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

/** Something between `-----BEGIN` and `-----END`, its lines as they are. */
interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY` and the like (RFC 7468). */
  readonly label: string;
  readonly body: string;
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----/gs;
const BEGIN = /-----BEGIN [A-Z0-9 ]+-----/g;

/** `TRUSTED` is OpenSSL's own: the certificate, and behind it what it is trusted for. */
const CERTIFICATE_LABELS = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

/**
 * Takes the certificates out of a PEM text. What else stands there is passed over: keys, comments, blank
 * lines, a byte order mark.
 *
 * @param broken whether a certificate that cannot be read is a mistake, or passed over. @default {"refuse"}
 * @returns each certificate as a PEM block of its own, written anew
 * @throws when there is none, or one that cannot be read
 */
export function certificatesOf(text: string, broken: "refuse" | "skip" = "refuse"): string[] {
  const blocks = blocksOf(text);
  const found = blocks.filter(({ label }) => CERTIFICATE_LABELS.includes(label));
  if (found.length === 0) throw new Error(`there is no PEM certificate in it${onlyOf(blocks)}`);
  return found.flatMap((block, index) => {
    try {
      return [readCertificate(block, index + 1)];
    } catch (error) {
      if (broken === "refuse") throw error;
      return [];
    }
  });
}

function readCertificate({ label, body }: PemBlock, number: number): string {
  const bytes = bytesOf(body);
  const size = bytes && readDer(bytes)?.bytes.length;
  if (bytes === undefined || size === undefined) {
    throw new Error(`certificate ${number} in it cannot be read`);
  }
  if (label === "TRUSTED CERTIFICATE" && size < bytes.length) {
    throw new Error(
      `certificate ${number} in it says what it is trusted for (TRUSTED CERTIFICATE), which is not ` +
        "followed here: write it anew with openssl x509",
    );
  }
  try {
    const certificate = bytes.subarray(0, size);
    new X509Certificate(certificate);
    return write("CERTIFICATE", certificate);
  } catch {
    throw new Error(`certificate ${number} in it cannot be read`);
  }
}

/** Whether there is a private key in a PEM text, be it one that can be used or not. */
export function holdsPrivateKey(text: string): boolean {
  return Array.from(text.matchAll(BLOCK)).some(([, label]) => isPrivateKey(label ?? ""));
}

/** A private key; `KeyObject` cannot write all that it can read. */
export interface PrivateKey {
  readonly key: KeyObject;
  /** The PEM block of it, written anew. */
  readonly pem: string;
}

/**
 * Takes the private key out of a PEM text, the first where there are several, as OpenSSL does.
 *
 * @throws when there is none, one that cannot be read, or one with a password
 */
export function privateKeyOf(text: string): PrivateKey {
  const blocks = blocksOf(text);
  const block = blocks.find(({ label }) => isPrivateKey(label));
  if (block === undefined) throw new Error(`there is no PEM private key in it${onlyOf(blocks)}`);
  const { label, body } = block;
  // RFC 1421, section 4.6.1.1: `Proc-Type: 4,ENCRYPTED`.
  if (label === "ENCRYPTED PRIVATE KEY" || /^Proc-Type:.*ENCRYPTED/m.test(body)) {
    throw new Error("its private key has a password: take it off with openssl pkey");
  }
  const bytes = bytesOf(body);
  try {
    const pem = bytes && write(label, bytes);
    if (pem !== undefined) return { key: createPrivateKey(pem), pem };
  } catch {
    // Said below.
  }
  throw new Error("its private key cannot be read");
}

function isPrivateKey(label: string): boolean {
  return /(^| )PRIVATE KEY$/.test(label);
}

/** @throws when the text is no PEM at all, or a block has no end */
function blocksOf(text: string): readonly PemBlock[] {
  const blocks = Array.from(text.matchAll(BLOCK), ([, label = "", body = ""]) => ({ label, body }));
  const begun = text.match(BEGIN)?.length ?? 0;
  if (blocks.length < begun) throw new Error("a PEM block in it has no end: is it cut off?");
  if (blocks.length > 0) return blocks;
  if (text.trim() === "") throw new Error("it is empty");
  if (text.includes("\0-\0-")) throw new Error("it is UTF-16: save it as ASCII or UTF-8");
  // Read as text: the tag of a sequence, and lengths that are no characters.
  if (/^0[\x80-\x84\ufffd]/.test(text)) {
    throw new Error("it is binary (DER or PKCS #12), not PEM: convert it with openssl");
  }
  return [];
}

/** What else there is, to be read after "there is no ... in it". */
function onlyOf(blocks: readonly PemBlock[]): string {
  const labels = new Set(blocks.map(({ label }) => label));
  return labels.size === 0 ? "" : `, only ${[...labels].join(", ")}`;
}

/** @returns the bytes that Base64 stands for, its lines ended and indented as they like */
function bytesOf(body: string): Uint8Array | undefined {
  const digits = body.replace(/\s/g, "");
  return /^[A-Za-z0-9+/]+={0,2}$/.test(digits) ? Buffer.from(digits, "base64") : undefined;
}

function write(label: string, bytes: Uint8Array): string {
  const lines = Buffer.from(bytes).toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`].join("\n");
}

/** One value of DER (X.690): its tag, and where its content stands. */
export interface DerValue {
  /** The identifier octet: class, form and number. */
  readonly tag: number;
  readonly content: Uint8Array;
  /** Tag, length and content together. */
  readonly bytes: Uint8Array;
}

/** Tags of the values that are looked for here. */
export const DER = {
  boolean: 0x01,
  octetString: 0x04,
  oid: 0x06,
  context0: 0xa0,
  context2: 0xa2,
  context3: 0xa3,
};

/** Longer lengths than of four bytes have no place in a certificate. */
const MAX_LENGTH_BYTES = 4;

/**
 * Reads the value at the beginning of some bytes.
 *
 * @returns it, or `undefined` where the bytes are none or end too early; never throws
 */
export function readDer(bytes: Uint8Array): DerValue | undefined {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) return undefined;
  const more = first < 0x80 ? 0 : first - 0x80;
  // 0x80 is a length that the end of the content tells: not in DER (X.690, section 10.1).
  if (first === 0x80 || more > MAX_LENGTH_BYTES || bytes.length < 2 + more) return undefined;
  const length = more === 0 ? first : bytes.subarray(2, 2 + more)
    .reduce((value, byte) => value * 256 + byte, 0);
  const size = 2 + more + length;
  if (size > bytes.length) return undefined;
  return { tag, content: bytes.subarray(2 + more, size), bytes: bytes.subarray(0, size) };
}

/** Reads the values that follow each other in the content of a sequence, up to what is none. */
export function* readDerValues(content: Uint8Array): Generator<DerValue> {
  let rest = content;
  for (let value = readDer(rest); value !== undefined; value = readDer(rest)) {
    yield value;
    rest = rest.subarray(value.bytes.length);
  }
}

/** @returns an object identifier in its usual form, `2.5.29.19` (X.690, section 8.19) */
export function formatOid(content: Uint8Array): string {
  const numbers: number[] = [];
  let number = 0;
  for (const byte of content) {
    number = number * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    numbers.push(number);
    number = 0;
  }
  const [both = 0, ...others] = numbers;
  const first = Math.min(2, Math.floor(both / 40));
  return [first, both - first * 40, ...others].join(".");
}

/** @returns what stands in the sequence that the bytes begin with */
export function contentsOf(der: Uint8Array | undefined): readonly DerValue[] {
  const sequence = readDer(der ?? new Uint8Array());
  return sequence === undefined ? [] : [...readDerValues(sequence.content)];
}

/** An extension of a certificate (RFC 5280, section 4.2). */
interface CertificateExtension {
  readonly oid: string;
  readonly critical: boolean;
  /** The DER of its value. */
  readonly value: Uint8Array;
}

/**
 * Reads the extensions of a certificate: `X509Certificate` tells few of them, and not which are critical.
 *
 * @param der the certificate; may come from a peer
 * @returns as many as can be read; never throws
 */
export function extensionsOf(der: Uint8Array): readonly CertificateExtension[] {
  const [tbs] = contentsOf(der);
  if (tbs === undefined) return [];
  const list = [...readDerValues(tbs.content)].find(({ tag }) => tag === DER.context3);
  return contentsOf(list?.content).flatMap(readExtension);
}

function readExtension({ content }: { readonly content: Uint8Array }): CertificateExtension[] {
  const parts = [...readDerValues(content)];
  const oid = parts.find(({ tag }) => tag === DER.oid);
  const critical = parts.find(({ tag }) => tag === DER.boolean)?.content[0] ?? 0;
  const value = parts.find(({ tag }) => tag === DER.octetString);
  if (oid === undefined || value === undefined) return [];
  return [{ oid: formatOid(oid.content), critical: critical !== 0, value: value.content }];
}
