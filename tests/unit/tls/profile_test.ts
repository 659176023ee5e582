import assert from "node:assert/strict";
import { MachineCas } from "../../../src/tls/machine_cas.ts";
import { loadTlsProfile, type TlsProfileSettings } from "../../../src/tls/profile.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";

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

const CA = FILES.get("ca.pem") ?? "";

for (
  const [what, text] of [
    ["cut off at its end", `${CA}\n${CA.slice(0, 100)}`],
    ["cut off in its only certificate", CA.slice(0, 100)],
    ["not there", undefined],
  ] as const
) {
  Deno.test(`A profile has a fingerprint with a file of the machine's CAs that is ${what}`, async () => {
    const machineCas = new MachineCas({}, () => {
      if (text === undefined) throw new Error("No such file");
      return text;
    });
    const loaded = await loadTlsProfile("", {}, () => "", machineCas);
    assert.ok(loaded.ok);
    const { profile } = loaded;
    const { fingerprint, lacksCas } = profile;
    assert.match(fingerprint, /^[0-9a-f]{64}$/);
    if (text?.startsWith(CA)) assert.equal(lacksCas, undefined);
    else assert.throws(() => profile.context(), { message: lacksCas });
  });
}

/** Writes files into a folder of their own, and has the link `..data` lead there, as Kubernetes does. */
async function mount(volume: TempDirectory, files: Readonly<Record<string, string>>) {
  const folder = await Deno.makeTempDir({ dir: volume.path });
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/${name}`, text);
  }
  return () => {
    Deno.symlinkSync(folder, `${volume.path}/..data_tmp`);
    Deno.renameSync(`${volume.path}/..data_tmp`, `${volume.path}/..data`);
  };
}

function pairOf(stem: string): Record<string, string> {
  const [cert = "", key = ""] = [`${stem}.pem`, `${stem}-key.pem`].map((name) => FILES.get(name));
  return { "tls.crt": cert, "tls.key": key, "both.pem": cert + key };
}

for (const keyFile of ["tls.key", undefined]) {
  const where = keyFile === undefined ? "in one file" : "in two files";
  const settingsIn = ({ path }: TempDirectory): TlsProfileSettings => ({
    certFile: `${path}/..data/${keyFile === undefined ? "both.pem" : "tls.crt"}`,
    ...keyFile === undefined ? {} : { keyFile: `${path}/..data/${keyFile}` },
    insecureSkipVerify: true,
  });
  const machineCas = new MachineCas({}, () => "");

  Deno.test(`A profile has the new pair where certificate and key, ${where}, are replaced while they are read`, async () => {
    await using volume = await TempDirectory.create();
    (await mount(volume, pairOf("one")))();
    let replace: (() => void) | undefined = await mount(volume, pairOf("two"));
    const readAndReplace = (path: string) => {
      const text = Deno.readTextFileSync(path);
      replace?.();
      replace = undefined;
      return text;
    };
    const loaded = await loadTlsProfile("", settingsIn(volume), readAndReplace, machineCas);
    assert.ok(loaded.ok, JSON.stringify(loaded));
    assert.equal(loaded.profile.chain[0]?.subject, "CN=two");
  });

  Deno.test(`A key that is not the certificate's, ${where}, is read twice and then refused`, async () => {
    await using volume = await TempDirectory.create();
    const [one, two] = [pairOf("one"), pairOf("two")];
    const cert = one["tls.crt"] ?? "";
    const key = two["tls.key"] ?? "";
    (await mount(volume, { "tls.crt": cert, "tls.key": key, "both.pem": cert + key }))();
    let reads = 0;
    const readAndCount = (path: string) => {
      reads++;
      return Deno.readTextFileSync(path);
    };
    const settings = settingsIn(volume);
    const loaded = await loadTlsProfile("", settings, readAndCount, machineCas);
    assert.equal(reads, 4);
    assert.deepEqual(loaded, {
      ok: false,
      mistakes: [{
        setting: keyFile === undefined ? "cert_file" : "key_file",
        path: settings.keyFile ?? settings.certFile,
        reason: "this is not the key of the certificate in cert_file",
      }],
    });
  });
}
