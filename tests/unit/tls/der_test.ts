import "../../lab/backends/tls/reflect_metadata.ts";
import * as x509 from "@peculiar/x509";
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { extensionsOf } from "../../../src/tls/der.ts";
import { CertificateAuthority, type IssueOptions } from "../../lab/backends/tls/certificates.ts";

/** DER of a value that nobody looks into. */
const ANY = new Uint8Array([0x05, 0x00]);

async function makeCertificate(options: IssueOptions): Promise<X509Certificate> {
  await using authority = await CertificateAuthority.create();
  const { cert } = await authority.issue("one", options);
  return new X509Certificate(await Deno.readTextFile(cert));
}

Deno.test("extensionsOf() gives the extensions of a certificate, and which are critical", async () => {
  const certificate = await makeCertificate({
    names: ["a.test"],
    extensions: [
      new x509.Extension("2.5.29.32", false, ANY),
      new x509.Extension("1.2.840.1", true, ANY),
    ],
  });
  const found = extensionsOf(certificate.raw).map(({ oid, critical }) =>
    critical ? `${oid}!` : oid
  );
  assert.deepEqual(found, [
    ...["2.5.29.19!", "2.5.29.15!", "2.5.29.37", "2.5.29.35", "2.5.29.17"],
    ...["2.5.29.32", "1.2.840.1!"],
  ]);
  const value = extensionsOf(certificate.raw).at(-1)?.value;
  assert.deepEqual(new Uint8Array(value ?? []), ANY);
});

Deno.test("extensionsOf() takes any bytes, also those of a certificate with some changed, and never throws", async () => {
  const { raw } = await makeCertificate({ names: ["a.test"] });
  const changed = fc.array(
    fc.tuple(fc.nat({ max: raw.length - 1 }), fc.nat({ max: 255 })),
    { minLength: 1, maxLength: 4 },
  ).map((changes) => {
    const bytes = Uint8Array.from(raw);
    for (const [at, byte] of changes) bytes[at] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), changed), (bytes) => {
      for (const { value } of extensionsOf(bytes)) assert.ok(value.length <= bytes.length);
    }),
    { numRuns: 2000 },
  );
});
