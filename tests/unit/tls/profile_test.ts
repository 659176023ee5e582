import assert from "node:assert/strict";
import { loadTlsProfile, MachineCas, type TlsProfileSettings } from "../../../src/tls/profile.ts";
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

for (
  const [errno, error] of [
    ["EMFILE", Object.assign(new Error("Too many open files (os error 24)"), { code: "EMFILE" })],
    ["ENFILE", new Error("Too many open files in system (os error 23): open '/etc'")],
  ] as const
) {
  Deno.test(`MachineCas knows nothing of a file that cannot be opened by ${errno}, and looks again`, () => {
    let lacking = true;
    const cas = new MachineCas({}, () => {
      if (lacking) throw error;
      return ONE;
    });
    assert.throws(() => cas.problem, error);
    lacking = false;
    assert.deepEqual(cas.certificates, [ONE]);
  });
}

/** The PEM files of these tests by their path; two pairs of a client certificate and its key. */
async function pemFiles(): Promise<Map<string, string>> {
  await using authority = await CertificateAuthority.create();
  await using other = await CertificateAuthority.create();
  const files = new Map([
    ["ca.pem", await Deno.readTextFile(authority.caFile)],
    ["other-ca.pem", await Deno.readTextFile(other.caFile)],
  ]);
  for (const stem of ["one", "two"]) {
    const { cert, key } = await authority.issue(stem, { names: [stem], use: "client" });
    files.set(`${stem}.pem`, await Deno.readTextFile(cert));
    files.set(`${stem}-key.pem`, await Deno.readTextFile(key));
  }
  return files;
}

const FILES = await pemFiles();
const OWN_CA: TlsProfileSettings = { caFile: "ca.pem" };
const MUTUAL: TlsProfileSettings = { ...OWN_CA, certFile: "one.pem", keyFile: "one-key.pem" };

/** The machine's CAs are `ca.pem` in this. */
async function fingerprintOf(
  settings: TlsProfileSettings,
  changed: Readonly<Record<string, string | undefined>> = {},
  name = "edge",
): Promise<string> {
  const contentOf = (path: string) => {
    const content = FILES.get(changed[path] ?? path);
    if (content === undefined) throw new Error("No such file");
    return content;
  };
  const machine = { SSL_CERT_FILE: "ca.pem" };
  const machineCas = new MachineCas(machine, contentOf);
  const loaded = await loadTlsProfile(name, settings, contentOf, machineCas);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.profile.fingerprint;
}

FILES.set("copy.pem", FILES.get("ca.pem") ?? "");
FILES.set("commented.pem", `# Ours\n${FILES.get("ca.pem")}\n\n`);
FILES.set("both.pem", `${FILES.get("ca.pem")}${FILES.get("other-ca.pem")}`);

const EQUAL: readonly [string, TlsProfileSettings, string][] = [
  ["the same files", MUTUAL, await fingerprintOf(MUTUAL)],
  ["another name of the profile", MUTUAL, await fingerprintOf(MUTUAL, {}, "other")],
  ["another file with the same CA", OWN_CA, await fingerprintOf({ caFile: "copy.pem" })],
  ["text around the CA", OWN_CA, await fingerprintOf({ caFile: "commented.pem" })],
  ["the CAs of the machine, which are the same", OWN_CA, await fingerprintOf({})],
  [
    "flags that say what holds anyway",
    OWN_CA,
    await fingerprintOf({ ...OWN_CA, requireAlpn: true }),
  ],
  [
    "other CAs where nothing is verified",
    { insecureSkipVerify: true },
    await fingerprintOf({ insecureSkipVerify: true }, { "ca.pem": "other-ca.pem" }),
  ],
];

for (const [what, settings, fingerprint] of EQUAL) {
  Deno.test(`A profile's fingerprint is the same with ${what}`, async () => {
    assert.equal(await fingerprintOf(settings), fingerprint);
  });
}

const DIFFERENT: readonly [string, TlsProfileSettings, string][] = [
  [
    "another CA in the same file",
    OWN_CA,
    await fingerprintOf(OWN_CA, { "ca.pem": "other-ca.pem" }),
  ],
  ["another CA beside it", OWN_CA, await fingerprintOf({ caFile: "both.pem" })],
  ["another CA of the machine", {}, await fingerprintOf({}, { "ca.pem": "other-ca.pem" })],
  [
    "another client certificate in the same files",
    MUTUAL,
    await fingerprintOf(MUTUAL, { "one.pem": "two.pem", "one-key.pem": "two-key.pem" }),
  ],
  ["no client certificate", MUTUAL, await fingerprintOf(OWN_CA)],
  ["a server name", OWN_CA, await fingerprintOf({ ...OWN_CA, serverName: "a.test" })],
  ["no verification", OWN_CA, await fingerprintOf({ ...OWN_CA, insecureSkipVerify: true })],
  ["no ALPN demanded", OWN_CA, await fingerprintOf({ ...OWN_CA, requireAlpn: false })],
];

for (const [what, settings, fingerprint] of DIFFERENT) {
  Deno.test(`A profile's fingerprint is another with ${what}`, async () => {
    assert.notEqual(await fingerprintOf(settings), fingerprint);
  });
}
