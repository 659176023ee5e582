import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { reasonOf } from "../describe_error.ts";
import { DER, readDer } from "./der.ts";

/** Something between `-----BEGIN` and `-----END`, its lines as they are. */
interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY` and the like (RFC 7468). */
  readonly label: string;
  readonly body: string;
}

/** A block that is cut off does not reach into the next one. */
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----((?:(?!-----BEGIN ).)*?)-----END \1-----/gs;
const BEGIN = /-----BEGIN [A-Z0-9 ]+-----/g;

/** `TRUSTED CERTIFICATE` is OpenSSL's own: behind the certificate stands what it is trusted for. */
const CERTIFICATE_LABELS = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

/**
 * Takes the certificates out of a PEM text. Everything else is ignored: keys, comments, blank lines, a byte order
 * mark.
 *
 * @returns each certificate as a PEM block of its own, written anew
 * @throws when there is none, or one that cannot be read
 */
export function certificatesOf(text: string): string[] {
  return certificateBlocksOf(blocksOf(text)).map((block, index) => {
    const der = readCertificate(block, index + 1);
    if (!canBeParsed(der)) throw new Error(`certificate ${index + 1} in it cannot be read`);
    return pemOf(der);
  });
}

/** The certificates of a text of which a part may be broken. */
export interface UsableCertificates {
  /** The DER of each. */
  readonly certificates: readonly Uint8Array[];
  /** What is wrong with the first certificate that is left out, or why there are none. */
  readonly problem: string | undefined;
}

/**
 * Takes those certificates out of a PEM text that look like one, and leaves out what is cut off or broken. It does
 * not try whether each {@linkcode canBeParsed}: for a machine's CAs that takes Deno 20 ms and 6 MB.
 *
 * @returns what there is; never throws
 */
export function usableCertificatesOf(text: string): UsableCertificates {
  const { blocks, problem } = parseBlocks(text);
  const problems = problem === undefined ? [] : [problem];
  const certificates: Uint8Array[] = [];
  try {
    for (const [index, block] of certificateBlocksOf(blocks).entries()) {
      try {
        certificates.push(readCertificate(block, index + 1));
      } catch (error) {
        problems.push(reasonOf(error));
      }
    }
  } catch (error) {
    problems.push(reasonOf(error));
  }
  return { certificates, problem: problems[0] };
}

/** Whether Deno can parse a certificate. */
export function canBeParsed(der: Uint8Array): boolean {
  try {
    new X509Certificate(der);
    return true;
  } catch {
    return false;
  }
}

/** @returns a certificate as a PEM block */
export function pemOf(der: Uint8Array): string {
  return write("CERTIFICATE", der);
}

/** @throws where there is none among the blocks */
function certificateBlocksOf(blocks: readonly PemBlock[]): readonly PemBlock[] {
  const found = blocks.filter(({ label }) => CERTIFICATE_LABELS.includes(label));
  if (found.length === 0) throw new Error(`there is no PEM certificate in it${onlyOf(blocks)}`);
  return found;
}

function readCertificate({ label, body }: PemBlock, number: number): Uint8Array {
  const bytes = bytesOf(body);
  const value = bytes && readDer(bytes);
  // A certificate is a sequence that begins with another one (RFC 5280, section 4.1).
  if (
    bytes === undefined || value?.tag !== DER.sequence || value.content[0] !== DER.sequence
  ) {
    throw new Error(`certificate ${number} in it cannot be read`);
  }
  const certificate = value.bytes;
  if (label === "TRUSTED CERTIFICATE" && certificate.length < bytes.length) {
    throw new Error(
      `certificate ${number} in it says what it is trusted for (TRUSTED CERTIFICATE), which is not ` +
        "followed here: write it anew with openssl x509",
    );
  }
  return certificate;
}

/** Whether there is a private key in a PEM text, usable or not. */
export function holdsPrivateKey(text: string): boolean {
  return Array.from(text.matchAll(BLOCK)).some(([, label]) => isPrivateKey(label ?? ""));
}

/** A private key. */
export interface PrivateKey {
  readonly key: KeyObject;
  /** Its PEM block, written anew: `KeyObject` cannot write all that it can read. */
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
  const { blocks, problem } = parseBlocks(text);
  if (problem !== undefined) throw new Error(problem);
  return blocks;
}

/** @returns the blocks that are whole, and what is wrong with the text as a whole, if anything is */
function parseBlocks(
  text: string,
): { readonly blocks: readonly PemBlock[]; readonly problem?: string } {
  const blocks = Array.from(text.matchAll(BLOCK), ([, label = "", body = ""]) => ({ label, body }));
  const begun = text.match(BEGIN)?.length ?? 0;
  if (blocks.length < begun) {
    return { blocks, problem: "a PEM block in it has no end: is it cut off?" };
  }
  if (blocks.length > 0) return { blocks };
  if (text.trim() === "") return { blocks, problem: "it is empty" };
  if (text.includes("\0-\0-")) {
    return { blocks, problem: "it is UTF-16: save it as ASCII or UTF-8" };
  }
  // DER that was read as text: the tag of a sequence, and a byte of a length that is no character.
  if (/^0[\x80-\x84\ufffd]/.test(text)) {
    const problem = "it is binary (DER or PKCS #12), not PEM: convert it with openssl";
    return { blocks, problem };
  }
  return { blocks };
}

/** @returns what there is instead, to be read after "there is no ... in it" */
function onlyOf(blocks: readonly PemBlock[]): string {
  const labels = new Set(blocks.map(({ label }) => label));
  return labels.size === 0 ? "" : `, only ${[...labels].join(", ")}`;
}

/** @returns the bytes of a Base64 text, with line ends and blanks of any kind; `undefined` where it is none */
function bytesOf(body: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.fromBase64(body);
  } catch {
    return undefined;
  }
}

function write(label: string, bytes: Uint8Array): string {
  const lines = bytes.toBase64().match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`].join("\n");
}
