import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describeCertificateFault } from "../../src/check/certificate_fault.ts";
import { CertificateAuthority } from "../lab/certificates.ts";

const DAY_MS = 86_400_000;

Deno.test("describeCertificateFault() tells a certificate's time from its issuer", async () => {
  await using authority = await CertificateAuthority.create("Some authority");
  const { cert } = await authority.issue("api", { names: ["api"] });
  const certificate = new X509Certificate(await Deno.readTextFile(cert));
  const from = Date.parse(certificate.validFrom);
  const to = Date.parse(certificate.validTo);
  assert.match(describeCertificateFault(certificate, to + DAY_MS), /expired, on .* GMT$/);
  assert.match(describeCertificateFault(certificate, from - DAY_MS), /not valid before .* GMT$/);
  assert.match(
    describeCertificateFault(certificate, from + DAY_MS),
    /not by a CA that is trusted.*issued by CN=Some authority/,
  );
  assert.equal(describeCertificateFault(undefined, 0), "The peer sent no certificate");
});
