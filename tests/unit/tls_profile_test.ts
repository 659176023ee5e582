import assert from "node:assert/strict";
import { loadTlsProfile, type TlsProfileSettings } from "../../src/check/tls_profile.ts";
import { CertificateAuthority } from "../lab/certificates.ts";

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
function fingerprintOf(
  settings: TlsProfileSettings,
  changed: Readonly<Record<string, string | undefined>> = {},
  name = "edge",
): string {
  const contentOf = (path: string) => {
    const content = FILES.get(changed[path] ?? path);
    if (content === undefined) throw new Error("No such file");
    return content;
  };
  const loaded = loadTlsProfile(name, settings, contentOf, () => [contentOf("ca.pem").trim()]);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.profile.fingerprint;
}

FILES.set("copy.pem", FILES.get("ca.pem") ?? "");
FILES.set("commented.pem", `# Ours\n${FILES.get("ca.pem")}\n\n`);
FILES.set("both.pem", `${FILES.get("ca.pem")}${FILES.get("other-ca.pem")}`);

const EQUAL: readonly [string, TlsProfileSettings, string][] = [
  ["the same files", MUTUAL, fingerprintOf(MUTUAL)],
  ["another name of the profile", MUTUAL, fingerprintOf(MUTUAL, {}, "other")],
  ["another file with the same CA", OWN_CA, fingerprintOf({ caFile: "copy.pem" })],
  ["text around the CA", OWN_CA, fingerprintOf({ caFile: "commented.pem" })],
  ["the CAs of the machine, which are the same", OWN_CA, fingerprintOf({})],
  ["flags that say what holds anyway", OWN_CA, fingerprintOf({ ...OWN_CA, requireAlpn: true })],
  [
    "other CAs where nothing is verified",
    { insecureSkipVerify: true },
    fingerprintOf({ insecureSkipVerify: true }, { "ca.pem": "other-ca.pem" }),
  ],
];

for (const [what, settings, fingerprint] of EQUAL) {
  Deno.test(`A profile's fingerprint is the same with ${what}`, () => {
    assert.equal(fingerprintOf(settings), fingerprint);
  });
}

const DIFFERENT: readonly [string, TlsProfileSettings, string][] = [
  ["another CA in the same file", OWN_CA, fingerprintOf(OWN_CA, { "ca.pem": "other-ca.pem" })],
  ["another CA beside it", OWN_CA, fingerprintOf({ caFile: "both.pem" })],
  ["another CA of the machine", {}, fingerprintOf({}, { "ca.pem": "other-ca.pem" })],
  [
    "another client certificate in the same files",
    MUTUAL,
    fingerprintOf(MUTUAL, { "one.pem": "two.pem", "one-key.pem": "two-key.pem" }),
  ],
  ["no client certificate", MUTUAL, fingerprintOf(OWN_CA)],
  ["a server name", OWN_CA, fingerprintOf({ ...OWN_CA, serverName: "a.test" })],
  ["no verification", OWN_CA, fingerprintOf({ ...OWN_CA, insecureSkipVerify: true })],
  ["no ALPN demanded", OWN_CA, fingerprintOf({ ...OWN_CA, requireAlpn: false })],
];

for (const [what, settings, fingerprint] of DIFFERENT) {
  Deno.test(`A profile's fingerprint is another with ${what}`, () => {
    assert.notEqual(fingerprintOf(settings), fingerprint);
  });
}
