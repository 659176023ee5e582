import "../../lab/backends/tls/reflect_metadata.ts";
import * as x509 from "@peculiar/x509";
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { identityProblem } from "../../../src/tls/server_identity.ts";
import { CertificateAuthority, type IssueOptions } from "../../lab/backends/tls/certificates.ts";

type Names = NonNullable<IssueOptions["names"]>;

async function issue(subject: string, names: Names): Promise<Uint8Array> {
  await using authority = await CertificateAuthority.create();
  const { cert } = await authority.issue(subject, { names });
  return new X509Certificate(await Deno.readTextFile(cert)).raw;
}

const url = (value: string) => ({ type: "url", value } as const);
const SPIFFE = url("spiffe://domain/ns/one");

/** Common name and other names of a certificate, a server, and whether the certificate is for it. */
const ROWS: readonly [string, Names, string, boolean][] = [
  ["x", ["api.test"], "api.test", true],
  ["x", ["API.Test"], "api.test", true],
  ["x", ["api.test"], "API.test.", true],
  ["x", ["api.test."], "api.test", true],
  ["x", ["my_svc.ns"], "my_svc.ns", true],
  ["x", ["api"], "api", true],
  ["x", ["other.test", "api.test"], "api.test", true],
  ["x", ["other.test"], "api.test", false],
  ["x", ["api.test"], "a.api.test", false],
  // Wildcards
  ["x", ["*.apps.test"], "a.apps.test", true],
  ["x", ["*.apps.test"], "a_b.apps.test", true],
  ["x", ["*.apps.test"], "apps.test", false],
  ["x", ["*.apps.test"], "a.b.apps.test", false],
  ["x", ["*.test"], "api.test", false],
  ["x", ["*"], "api", false],
  ["x", ["a.*.test"], "a.apps.test", false],
  ["x", ["*.*.test"], "a.apps.test", false],
  // Addresses
  ["x", ["127.0.0.1"], "127.0.0.1", true],
  ["x", ["127.0.0.1"], "127.0.0.2", false],
  ["x", ["2001:db8::1"], "2001:db8::1", true],
  ["x", ["2001:db8::1"], "2001:DB8:0:0::0001", true],
  ["x", ["2001:db8::1"], "2001:db8::2", false],
  ["x", ["10.0.0.1"], "::ffff:10.0.0.1", false],
  ["x", [{ type: "dns", value: "127.0.0.1" }], "127.0.0.1", false],
  ["127.0.0.1", [], "127.0.0.1", false],
  // Names of other kinds
  ["x", [SPIFFE, "api.test"], "api.test", true],
  ["x", [url('spiffe://a"b'), "api.test"], "api.test", true],
  ["x", ["api.test", url('"')], "api.test", true],
  ["x", [url("a, DNS:api.test"), "good.test"], "api.test", false],
  ["x", [url("a, IP Address:10.0.0.1"), "good.test"], "10.0.0.1", false],
  ["x", [url("a, DNS:*.api.test"), "good.test"], "a.api.test", false],
  ["x", [{ type: "email", value: "a, DNS:api.test" }, "good.test"], "api.test", false],
  ["x", [{ type: "dn", value: "CN=a\\, DNS:api.test" }, "good.test"], "api.test", false],
  // DNS names that are none
  ["x", ["a, DNS:api.test"], "api.test", false],
  ["x", ["api.test\0.good.test"], "api.test", false],
  ["x", [" api.test"], "api.test", false],
  ["x", ["api.test\n"], "api.test", false],
  ["x", ['"api.test"'], "api.test", false],
  ["x", ["api..test"], "api..test", false],
  ["x", [""], "", false],
  ["x", ["*", "foo bar", "a..b", "api.test"], "api.test", true],
  // The common name counts where there is no dNSName, be it well-formed or not.
  ["api.test", [], "api.test", true],
  ["API.test", [], "api.test", true],
  ["*.apps.test", [], "a.apps.test", true],
  ["api.test", [SPIFFE, "10.0.0.1"], "api.test", true],
  ["api.test", ["other.test"], "api.test", false],
  ["api.test", ["foo bar"], "api.test", false],
  ["good.test\\, CN=api.test", [], "api.test", false],
  ["good.test\\0aCN=api.test", [], "api.test", false],
  ["api.test, CN=other", [], "api.test", true],
];

for (const [commonName, names, server, isFor] of ROWS) {
  const texts = names.map((name) => typeof name === "string" ? name : `${name.type} ${name.value}`);
  const what = `CN=${commonName} [${texts.join("; ")}]`;
  Deno.test(`A certificate of ${JSON.stringify(what)} is ${isFor ? "" : "not "}for ${JSON.stringify(server)}`, async () => {
    const problem = identityProblem(server, await issue(commonName, names));
    if (isFor) assert.equal(problem, undefined);
    else assert.match(problem?.message ?? "", /^Hostname\/IP does not match/);
  });
}

Deno.test("identityProblem() tells the names that there are", async () => {
  const problem = identityProblem("api.test", await issue("x", [SPIFFE, "a.test", "b.test"]));
  assert.match(
    problem?.message ?? "",
    /api\.test.* is not in the cert's altnames: DNS:a\.test, DNS:b\.test$/,
  );
});

Deno.test("identityProblem() finds no host's name in names of other kinds, whatever they hold", async () => {
  await using authority = await CertificateAuthority.create();
  const piece = fc.constantFrom(
    ...'a,": \\\0',
    ", DNS:",
    "DNS:",
    "IP Address:",
    "api.test",
    "1.2.3.4",
  );
  const text = fc.array(piece, { minLength: 1, maxLength: 8 }).map((pieces) => pieces.join(""));
  const names = fc.array(fc.tuple(fc.constantFrom("url", "email"), text), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(names, async (others) => {
      const { cert } = await authority.issue("x", {
        names: [...others.map(([type, value]) => ({ type, value } as const)), "good.test"],
      });
      const der = new X509Certificate(await Deno.readTextFile(cert)).raw;
      assert.equal(identityProblem("good.test", der), undefined);
      for (const server of ["api.test", "1.2.3.4"]) assert.ok(identityProblem(server, der));
    }),
    { numRuns: 100 },
  );
});

Deno.test("identityProblem() takes any bytes, also those of a certificate with some changed, and never throws", async () => {
  const der = await issue("x", [SPIFFE, "api.test", "10.0.0.1"]);
  const changed = fc.array(
    fc.tuple(fc.nat({ max: der.length - 1 }), fc.nat({ max: 255 })),
    { minLength: 1, maxLength: 4 },
  ).map((changes) => {
    const bytes = Uint8Array.from(der);
    for (const [at, byte] of changes) bytes[at] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), changed), (bytes) => {
      assert.ok(identityProblem("other.test", bytes));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("identityProblem() takes no common name where the alternative names cannot be read to their end", async () => {
  await using authority = await CertificateAuthority.create();
  for (
    const [value, isFor] of [[[0x30, 0x03, 0x86, 0x01, 0x61], true], [
      [0x30, 0x02, 0x82, 0x01],
      false,
    ], [[], false]] as const
  ) {
    const extensions = [new x509.Extension("2.5.29.17", false, new Uint8Array(value))];
    const { cert } = await authority.issue("api.test", { extensions });
    const der = x509.PemConverter.decodeFirst(await Deno.readTextFile(cert));
    assert.equal(identityProblem("api.test", new Uint8Array(der)) === undefined, isFor);
  }
});
