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
