import assert from "node:assert/strict";
import { MachineCas } from "../../../src/tls/machine_cas.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";

const NO_FILE = "No such file or directory (os error 2)";

function machine(
  files: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string>> = {},
): MachineCas {
  return new MachineCas(environment, (path) => {
    const text = files[path];
    if (text === undefined) throw new Error(NO_FILE);
    return text;
  });
}

async function caPem(): Promise<string> {
  await using authority = await CertificateAuthority.create();
  return (await Deno.readTextFile(authority.caFile)).trim();
}

const [ONE, TWO] = [await caPem(), await caPem()];
const FEDORA = "/etc/pki/tls/certs/ca-bundle.crt";
const ALPINE = "/etc/ssl/cert.pem";

Deno.test("MachineCas takes SSL_CERT_FILE, or else the first of the systems' files", () => {
  const files = { "/own.pem": ONE, [FEDORA]: TWO, [ALPINE]: ONE };
  assert.deepEqual(machine(files, { SSL_CERT_FILE: "/own.pem" }).certificates, [ONE]);
  assert.deepEqual(machine(files, { SSL_CERT_FILE: "" }).certificates, [TWO]);
  assert.deepEqual(machine(files).certificates, [TWO]);
  assert.equal(machine(files).problem, undefined);
});

Deno.test("MachineCas passes over a system's file without a certificate", () => {
  const { certificates, problem } = machine({ [FEDORA]: "", [ALPINE]: `${ONE}\n${TWO}` });
  assert.deepEqual(certificates, [ONE, TWO]);
  assert.equal(problem, undefined);
});

Deno.test("MachineCas passes over a certificate that cannot be read", () => {
  const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
  assert.deepEqual(machine({ [FEDORA]: `${ONE}\n${broken}\n${TWO}` }).certificates, [ONE, TWO]);
});

Deno.test("MachineCas takes nothing instead of a SSL_CERT_FILE that cannot be used, and says why", () => {
  for (const [own, reason] of [[undefined, NO_FILE], ["text", "there is no certificate in it"]]) {
    const files = { [FEDORA]: ONE, ...own === undefined ? {} : { "/own.pem": own } };
    const { certificates, problem } = machine(files, { SSL_CERT_FILE: "/own.pem" });
    assert.deepEqual(certificates, []);
    assert.equal(problem, `SSL_CERT_FILE, /own.pem: ${reason}`);
  }
});

Deno.test("MachineCas says where it has looked when there is nothing", () => {
  const { certificates, problem = "" } = machine({});
  assert.deepEqual(certificates, []);
  for (const file of [FEDORA, ALPINE]) assert.ok(problem.includes(file), problem);
});
