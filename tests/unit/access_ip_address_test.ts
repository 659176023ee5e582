import assert from "node:assert/strict";
import fc from "fast-check";
import { formatIpAddress, type IpAddress, parseIpAddress } from "../../src/access/ip_address.ts";

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
