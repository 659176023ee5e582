import assert from "node:assert/strict";
import { rootCertificates } from "node:tls";
import { readMachineCas } from "../../src/check/machine_cas.ts";
import { CertificateAuthority } from "../lab/certificates.ts";

function filesOf(files: Readonly<Record<string, string>>): (path: string) => string {
  return (path) => {
    const text = files[path];
    if (text === undefined) throw new Error("No such file");
    return text;
  };
}

Deno.test("readMachineCas() takes SSL_CERT_FILE, else the system's file, else the runtime's", async () => {
  await using one = await CertificateAuthority.create();
  await using two = await CertificateAuthority.create();
  const files = {
    "/own.pem": await Deno.readTextFile(one.caFile),
    "/etc/ssl/cert.pem": await Deno.readTextFile(two.caFile),
  };
  const read = filesOf(files);
  const trimmed = (texts: readonly string[]) => texts.map((text) => text.trim());
  assert.deepEqual(trimmed(readMachineCas({ SSL_CERT_FILE: "/own.pem" }, read)), [
    files["/own.pem"].trim(),
  ]);
  assert.deepEqual(trimmed(readMachineCas({}, read)), [files["/etc/ssl/cert.pem"].trim()]);
  assert.deepEqual(readMachineCas({}, filesOf({})), rootCertificates);
});
