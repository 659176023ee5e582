import "../../lab/backends/tls/reflect_metadata.ts";
import * as x509 from "@peculiar/x509";
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { unsupportedIn, unsupportedInServer } from "../../../src/tls/certificate.ts";
import { CertificateAuthority, type IssueOptions } from "../../lab/backends/tls/certificates.ts";

/** DER of a value that nobody looks into. */
const ANY = new Uint8Array([0x05, 0x00]);

async function issue(options: IssueOptions): Promise<X509Certificate> {
  await using authority = await CertificateAuthority.create();
  const { cert } = await authority.issue("one", options);
  return new X509Certificate(await Deno.readTextFile(cert));
}

function critical(oid: string): IssueOptions {
  return { extensions: [new x509.Extension(oid, true, ANY)] };
}

/** Certificates that are refused, and what is said of each; OpenSSL takes most of them. */
const ODD: readonly [string, IssueOptions, RegExp][] = [
  [
    "a critical policyConstraints",
    critical("2.5.29.36"),
    /^has a critical extension .*: policyConstraints$/,
  ],
  ["a critical inhibitAnyPolicy", critical("2.5.29.54"), /: inhibitAnyPolicy$/],
  ["a critical certificatePolicies", critical("2.5.29.32"), /: certificatePolicies$/],
  [
    "an unknown critical extension",
    critical("1.3.6.1.4.1.99999.1"),
    /: 1\.3\.6\.1\.4\.1\.99999\.1$/,
  ],
];

for (const [what, options, expected] of ODD) {
  Deno.test(`unsupportedIn() tells of ${what}`, async () => {
    const certificate = await issue(options);
    assert.match(unsupportedIn(certificate) ?? "", expected);
    assert.match(unsupportedInServer(certificate) ?? "", expected);
  });
}

Deno.test("unsupportedIn() says nothing of what is ordinary, nor of a CA's certificate", async () => {
  const policies = new x509.Extension("2.5.29.32", false, ANY);
  assert.equal(
    unsupportedIn(await issue({ names: ["a.test"], extensions: [policies] })),
    undefined,
  );
  assert.equal(unsupportedIn(await issue({ ca: true })), undefined);
  assert.equal(unsupportedInServer(await issue({ names: ["a.test"] })), undefined);
});

Deno.test("unsupportedInServer() tells of CA:TRUE, and of a certificate that is not for servers", async () => {
  assert.match(
    unsupportedInServer(await issue({ ca: true })) ?? "",
    /^is that of a CA \(CA:TRUE\)/,
  );
  assert.match(unsupportedInServer(await issue({ use: "client" })) ?? "", /^is not for servers/);
});
