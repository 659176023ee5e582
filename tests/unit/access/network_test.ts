import fc from "fast-check";
import assert from "node:assert/strict";
import {
  formatIpAddress,
  type IpAddress,
  type Network,
  parseIpAddress,
  parseNetwork,
} from "../../../src/access/network.ts";

const ADDRESSES: readonly [string, IpAddress, string?][] = [
  ["0.0.0.0", { family: 4, bits: 0n }],
  ["10.1.2.3", { family: 4, bits: 0x0a010203n }],
  ["255.255.255.255", { family: 4, bits: 0xffffffffn }],
  ["::ffff:10.1.2.3", { family: 4, bits: 0x0a010203n }, "10.1.2.3"],
  ["::FFFF:a01:203", { family: 4, bits: 0x0a010203n }, "10.1.2.3"],
  ["0:0:0:0:0:ffff:0a01:0203", { family: 4, bits: 0x0a010203n }, "10.1.2.3"],
  ["::ffff:10.1.2.3%2", { family: 4, bits: 0x0a010203n }, "10.1.2.3"],
  ["::10.1.2.3", { family: 6, bits: 0x0a010203n }, "::a01:203"],
  ["::1:ffff:a01:203", { family: 6, bits: 0x1ffff0a010203n }],
  ["64:ff9b::10.1.2.3", { family: 6, bits: (0x64ff9bn << 96n) + 0x0a010203n }, "64:ff9b::a01:203"],
  ["::", { family: 6, bits: 0n }],
  ["::1", { family: 6, bits: 1n }],
  ["2001:DB8::", { family: 6, bits: 0x20010db8n << 96n }, "2001:db8::"],
  ["fe80::1%eth0", { family: 6, bits: (0xfe80n << 112n) + 1n }, "fe80::1"],
  ["1:2:3:4:5:6:7:8", { family: 6, bits: 0x00010002000300040005000600070008n }],
  ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", { family: 6, bits: (1n << 128n) - 1n }],
];

for (const [text, expected, canonical = text] of ADDRESSES) {
  Deno.test(`parseIpAddress() reads ${text}, and formatIpAddress() writes it`, () => {
    assert.deepEqual(parseIpAddress(text), expected);
    assert.equal(formatIpAddress(expected), canonical);
  });
}

for (const text of ["", "10.1.2", "010.1.2.3", "10.1.2.256", "[::1]", "1::2::3", "::fffff", "a"]) {
  Deno.test(`parseIpAddress() finds no address in ${JSON.stringify(text)}`, () => {
    assert.equal(parseIpAddress(text), undefined);
  });
}

const anyAddress: fc.Arbitrary<IpAddress> = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 32n) - 1n }).map((bits): IpAddress => ({ family: 4, bits })),
  fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }).filter((bits) => bits >> 32n !== 0xffffn)
    .map((bits): IpAddress => ({ family: 6, bits })),
);

Deno.test("parseIpAddress() reads back what formatIpAddress() writes", () => {
  fc.assert(fc.property(anyAddress, (address) => {
    assert.deepEqual(parseIpAddress(formatIpAddress(address)), address);
  }));
});

Deno.test("parseIpAddress() reads any spelling as it reads the canonical one", () => {
  fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
    const address = parseIpAddress(text);
    assert.ok(address !== undefined);
    assert.deepEqual(parseIpAddress(formatIpAddress(address)), address);
  }));
});

function network(text: string): Network {
  const parsed = parseNetwork(text);
  assert.ok(parsed.ok, text);
  return parsed.network;
}

function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}

const CONTAINS: readonly [string, string, boolean][] = [
  ["10.0.0.0/8", "10.255.255.255", true],
  ["10.0.0.0/8", "11.0.0.0", false],
  ["10.0.0.0/8", "9.255.255.255", false],
  ["10.1.2.4/31", "10.1.2.5", true],
  ["10.1.2.4/31", "10.1.2.6", false],
  ["10.1.2.3", "10.1.2.3", true],
  ["10.1.2.3", "10.1.2.2", false],
  ["10.1.2.3/32", "10.1.2.3", true],
  ["192.0.2.128/25", "192.0.2.127", false],
  ["0.0.0.0/0", "255.255.255.255", true],
  ["0.0.0.0/0", "2001:db8::1", false],
  ["10.0.0.0/8", "::ffff:10.1.2.3", true],
  ["10.0.0.0/8", "::ffff:a01:203", true],
  ["10.0.0.0/8", "::ffff:11.1.2.3", false],
  ["10.0.0.0/8", "::10.1.2.3", false],
  ["::ffff:10.0.0.0/104", "10.1.2.3", true],
  ["::ffff:10.0.0.0/104", "11.1.2.3", false],
  ["::ffff:0:0/96", "::ffff:1.2.3.4", true],
  ["::ffff:10.1.2.3", "10.1.2.3", true],
  ["::/0", "2001:db8::1", true],
  ["::/0", "10.1.2.3", false],
  ["::/0", "::ffff:10.1.2.3", false],
  ["2001:db8::/32", "2001:db8:ffff::", true],
  ["2001:db8::/32", "2001:db9::", false],
  ["2001:db8:8000::/33", "2001:db8:7fff::", false],
  ["::1", "::1", true],
  ["::1/128", "::", false],
  ["::/96", "0.0.0.1", false],
  ["fe80::/10", "fe80::1%eth0", true],
];

for (const [text, candidate, expected] of CONTAINS) {
  Deno.test(`${text} ${expected ? "contains" : "does not contain"} ${candidate}`, () => {
    assert.equal(network(text).contains(address(candidate)), expected);
  });
}

const NO_NETWORK = "is not an IP address or a network (10.0.0.0/8, 2001:db8::/32)";
const IPV4_LENGTH = "must have a prefix length from 0 to 32 after the slash";
const IPV6_LENGTH = "must have a prefix length from 0 to 128 after the slash";

function hostBits(right: string, single: string): string {
  return `has bits set after the prefix, write ${right} or the single address ${single}`;
}

const REFUSED: readonly [string, string][] = [
  ...["", "/8", "10/8", "10.0/16", "010.0.0.0/8", "0x0a.0.0.0/8", "10.0.0.256", " 10.0.0.1", "all"]
    .map((text): [string, string] => [text, NO_NETWORK]),
  ...["[::1]", "::1::", "fe80::1%eth0", "fe80::%1/10", "localhost", "10.0.0.0-10.0.0.9", "١.0.0.0"]
    .map((text): [string, string] => [text, NO_NETWORK]),
  ...["", "33", "08", "-1", "+8", "8/8", "8 ", "8.0", "1e1", "255.0.0.0", "٨"]
    .map((length): [string, string] => [`10.0.0.0/${length}`, IPV4_LENGTH]),
  ...["", "129", "032", "1000", "32:443"]
    .map((length): [string, string] => [`2001:db8::/${length}`, IPV6_LENGTH]),
  ["::ffff:10.0.0.0/8", "must have a prefix length from 96 to 128 after the slash"],
  ["10.1.2.3/8", hostBits("10.0.0.0/8", "10.1.2.3")],
  ["10.1.2.3/0", hostBits("0.0.0.0/0", "10.1.2.3")],
  ["10.1.2.3/31", hostBits("10.1.2.2/31", "10.1.2.3")],
  ["2001:DB8:0::1/32", hostBits("2001:db8::/32", "2001:db8::1")],
  ["::ffff:10.1.2.3/104", hostBits("10.0.0.0/8", "10.1.2.3")],
];

for (const [text, reason] of REFUSED) {
  Deno.test(`parseNetwork() refuses ${JSON.stringify(text)}`, () => {
    assert.deepEqual(parseNetwork(text), { ok: false, reason });
  });
}

/** An address spelt in some way, and its bits as a string of `0` and `1`, 32 or 128 of them. */
interface Spelt {
  readonly text: string;
  readonly bits: string;
}

function inBinary(numbers: readonly number[], width: number): string {
  return numbers.map((number) => number.toString(2).padStart(width, "0")).join("");
}

/** Bytes that are often alike, so that networks contain addresses often enough. */
const byte = fc.oneof(fc.constantFrom(0, 1, 10, 255), fc.integer({ min: 0, max: 255 }));

const spelt4: fc.Arbitrary<Spelt> = fc.tuple(
  fc.array(byte, { minLength: 4, maxLength: 4 }),
  fc.constantFrom("plain", "mapped", "mapped in hex"),
).map(([bytes, spelling]) => {
  const dotted = bytes.join(".");
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  const hex = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  const text = spelling === "plain"
    ? dotted
    : spelling === "mapped"
    ? `::ffff:${dotted}`
    : `0:0:0:0:0:FFFF:${hex}`;
  return { text, bits: inBinary(bytes, 8) };
});

const group = fc.oneof(fc.constantFrom(0, 0, 1, 0xffff), fc.integer({ min: 0, max: 0xffff }));

const spelt6: fc.Arbitrary<Spelt> = fc.tuple(
  fc.array(group, { minLength: 8, maxLength: 8 }),
  fc.boolean(),
).map(([groups, short]) => {
  const long = groups.map((group) => group.toString(16).padStart(short ? 0 : 4, "0")).join(":");
  const text = short ? long.replace(/(^|:)0(:0)+(:|$)/, "::") : long;
  return { text, bits: inBinary(groups, 16) };
}).filter(({ bits }) => !bits.startsWith("0".repeat(80) + "1".repeat(16)));

const spelt = fc.oneof(spelt4, spelt6);

Deno.test("Network.contains() compares prefixes as a model made of bit strings does", () => {
  const hits = { in: 0, out: 0 };
  fc.assert(
    fc.property(spelt, spelt, fc.nat(), fc.nat(), (base, other, cut, flip) => {
      const length = cut % (base.bits.length + 1);
      const prefix = base.bits.slice(0, length);
      const first = BigInt(`0b${prefix.padEnd(base.bits.length, "0")}`);
      const made = network(
        `${formatIpAddress({ family: base.bits.length === 32 ? 4 : 6, bits: first })}/${length}`,
      );
      const at = flip % base.bits.length;
      const flipped = base.bits.slice(0, at) + (base.bits[at] === "0" ? "1" : "0") +
        base.bits.slice(at + 1);
      for (const { text, bits } of [base, other]) {
        const expected = bits.length === base.bits.length && bits.startsWith(prefix);
        assert.equal(made.contains(address(text)), expected);
        hits[expected ? "in" : "out"]++;
      }
      const near: IpAddress = { ...address(base.text), bits: BigInt(`0b${flipped}`) };
      assert.equal(made.contains(near), flipped.startsWith(prefix));
    }),
    { numRuns: 5000 },
  );
  assert.ok(hits.in > 500 && hits.out > 500, JSON.stringify(hits));
});

Deno.test("parseNetwork() refuses a prefix exactly when bits are set after it", () => {
  fc.assert(
    fc.property(spelt, fc.nat(), ({ text, bits }, cut) => {
      const length = cut % (bits.length + 1);
      const offset = text.includes(":") ? 128 - bits.length : 0;
      const parsed = parseNetwork(`${text}/${length + offset}`);
      assert.equal(parsed.ok, !bits.slice(length).includes("1"));
    }),
    { numRuns: 2000 },
  );
});
