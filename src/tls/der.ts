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
  sequence: 0x30,
  context0: 0xa0,
  context2: 0xa2,
  context3: 0xa3,
};

/** How many bytes a length may have: no certificate needs more. */
const MAX_LENGTH_BYTES = 4;

/**
 * Reads the value at the beginning of some bytes.
 *
 * @returns the value, or `undefined` where there is none or the bytes end too early; never throws
 */
export function readDer(bytes: Uint8Array): DerValue | undefined {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) return undefined;
  const more = first < 0x80 ? 0 : first - 0x80;
  // 0x80 is the indefinite form, which DER does not have (X.690, section 10.1).
  if (first === 0x80 || more > MAX_LENGTH_BYTES || bytes.length < 2 + more) return undefined;
  const length = more === 0 ? first : bytes.subarray(2, 2 + more)
    .reduce((value, byte) => value * 256 + byte, 0);
  const size = 2 + more + length;
  if (size > bytes.length) return undefined;
  return { tag, content: bytes.subarray(2 + more, size), bytes: bytes.subarray(0, size) };
}

/** Reads the values in the content of a sequence, up to the first that cannot be read. */
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
