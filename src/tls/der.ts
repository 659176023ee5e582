/** One value of DER (X.690): its tag, and where its content stands. */
export interface DerValue {
  /** The identifier octet: class, form and number. */
  readonly tag: number;
  readonly content: Uint8Array;
  /** The bytes that tag, length and content take together. */
  readonly size: number;
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
  if (more > MAX_LENGTH_BYTES || bytes.length < 2 + more) return undefined;
  const length = more === 0 ? first : bytes.subarray(2, 2 + more)
    .reduce((value, byte) => value * 256 + byte, 0);
  const size = 2 + more + length;
  return size <= bytes.length ? { tag, content: bytes.subarray(2 + more, size), size } : undefined;
}

/** Reads the values that follow each other in the content of a sequence, up to what is none. */
export function* readDerValues(content: Uint8Array): Generator<DerValue> {
  let rest = content;
  for (let value = readDer(rest); value !== undefined; value = readDer(rest)) {
    yield value;
    rest = rest.subarray(value.size);
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
