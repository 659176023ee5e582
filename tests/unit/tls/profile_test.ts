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

/** Bundles of which one certificate can be used, and what is said of the rest. */
const DAMAGED: readonly [string, string, string][] = [
  [
    "a certificate that cannot be read",
    `-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n${ONE}`,
    "certificate 1 in it cannot be read",
  ],
  [
    "an end that is cut off",
    `${ONE}\n${TWO.slice(0, TWO.length / 2)}`,
    "a PEM block in it has no end: is it cut off?",
  ],
  [
    "a middle that is cut off",
    `${TWO.slice(0, TWO.length / 2)}\n${ONE}`,
    "a PEM block in it has no end: is it cut off?",
  ],
];

for (const [what, text, reason] of DAMAGED) {
  Deno.test(`MachineCas takes the others of a file with ${what}, and warns`, () => {
    for (
      const [name, environment] of [
        [FEDORA, {}],
        ["SSL_CERT_FILE, /own.pem", { SSL_CERT_FILE: "/own.pem" }],
      ] as const
    ) {
      const cas = machine({ [FEDORA]: text, "/own.pem": text }, environment);
      cas.find();
      assert.equal(cas.warning, `${name}: CA certificates in it are left out: ${reason}`);
      assert.deepEqual(cas.certificates, [ONE]);
      assert.equal(cas.problem, undefined);
    }
  });
}

Deno.test("MachineCas says why there are none in the files that there are", () => {
  const files = { [FEDORA]: ONE.slice(0, 100), [ALPINE]: "" };
  const { certificates, problem = "" } = machine(files);
  assert.deepEqual(certificates, []);
  assert.match(
    problem,
    /ca-bundle\.crt: .*cut off\?; .*cert\.pem: it is empty; none of .* has any$/,
  );
});

Deno.test("MachineCas says so where none of the certificates can be parsed", () => {
  // A sequence in a sequence, as in a certificate.
  const shaped = "-----BEGIN CERTIFICATE-----\nMAIwAA==\n-----END CERTIFICATE-----";
  const cas = machine({ [FEDORA]: shaped });
  assert.deepEqual(cas.certificates, []);
  assert.equal(cas.problem, "none of those that it has can be read");
});

Deno.test("MachineCas takes nothing instead of a SSL_CERT_FILE that cannot be used, and says why", () => {
  for (
    const [own, reason] of [
      [undefined, NO_FILE],
      ["text", "there is no PEM certificate in it"],
      [ONE.slice(0, 100), "a PEM block in it has no end: is it cut off?"],
    ] as const
  ) {
    const files = { [FEDORA]: ONE, ...own === undefined ? {} : { "/own.pem": own } };
    const { certificates, problem } = machine(files, { SSL_CERT_FILE: "/own.pem" });
    assert.deepEqual(certificates, []);
    assert.equal(problem, `SSL_CERT_FILE, /own.pem: ${reason}`);
  }
});

Deno.test("MachineCas finds the file of each system", () => {
  for (
    const file of [
      "/etc/ssl/certs/ca-certificates.crt",
      FEDORA,
      "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
      "/etc/ssl/ca-bundle.pem",
      "/etc/pki/tls/cacert.pem",
      ALPINE,
    ]
  ) assert.deepEqual(machine({ [file]: ONE }).certificates, [ONE], file);
});

Deno.test("MachineCas says that SSL_CERT_DIR is not read where there is nothing else", () => {
  const environment = { SSL_CERT_DIR: "/etc/ssl/certs" };
  assert.match(machine({}, environment).problem ?? "", / has any, and SSL_CERT_DIR is not read$/);
  assert.equal(machine({ [ALPINE]: ONE }, environment).problem, undefined);
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

Deno.test("MachineCas reads nothing once it has looked", () => {
  let isGone = false;
  const cas = new MachineCas({ SSL_CERT_FILE: "/own.pem" }, () => {
    if (isGone) throw new Error("Too many open files (os error 24)");
    return ONE;
  });
  assert.equal(cas.warning, undefined);
  cas.find();
  isGone = true;
  assert.deepEqual(cas.certificates, [ONE]);
});

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

for (
  const [what, text] of [
    ["cut off at its end", `${ONE}\n${TWO.slice(0, 100)}`],
    ["cut off in its only certificate", ONE.slice(0, 100)],
    ["not there", undefined],
  ] as const
) {
  Deno.test(`A profile has a fingerprint with a file of the machine's CAs that is ${what}`, async () => {
    const machineCas = machine(text === undefined ? {} : { [FEDORA]: text });
    const loaded = await loadTlsProfile("", {}, () => "", machineCas);
    assert.ok(loaded.ok);
    const { fingerprint, lacksCas, context } = loaded.profile;
    assert.match(fingerprint, /^[0-9a-f]{64}$/);
    if (text?.startsWith(ONE)) assert.equal(lacksCas, undefined);
    else assert.throws(context, { message: lacksCas });
  });
}
