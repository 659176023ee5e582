import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import {
  certificatesOf,
  holdsPrivateKey,
  pemOf,
  privateKeyOf,
  usableCertificatesOf,
} from "../../../src/tls/pem.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import { openssl, opensslProblem } from "../../lab/backends/tls/openssl.ts";
import { testThatNeeds } from "../../lab/testing/test_that_needs.ts";

async function makePair(): Promise<{ readonly cert: string; readonly key: string }> {
  await using authority = await CertificateAuthority.create();
  const { cert, key } = await authority.issue("one", { use: "client" });
  return {
    cert: (await Deno.readTextFile(cert)).trim(),
    key: (await Deno.readTextFile(key)).trim(),
  };
}

const { cert: CERT, key: KEY } = await makePair();
const OTHER = await makePair();

const relabelled = (pem: string, label: string) =>
  pem.replaceAll(/(?<=BEGIN |END )[A-Z ]+/g, label);
const indented = (pem: string) => pem.split("\n").map((line) => `    ${line}  `).join("\n");

/** Spellings of the same certificate and the same key. */
const SPELLINGS: readonly [string, (pem: string) => string][] = [
  ["as it is", (pem) => pem],
  ["with a byte order mark", (pem) => `\ufeff${pem}`],
  ["with CRLF", (pem) => pem.replaceAll("\n", "\r\n")],
  ["with CR", (pem) => pem.replaceAll("\n", "\r")],
  ["with blank lines before and after", (pem) => `\n \n\r\n${pem}\n\n\n`],
  ["with blank lines within", (pem) => pem.replaceAll("\n", "\n\n")],
  ["with text around it", (pem) => `subject=CN = one\n# Ours\n${pem}\nthat is all\n`],
  ["indented, as YAML has it", indented],
  [
    "with its Base64 in one line",
    (pem) => pem.replaceAll(/\n(?!-)/g, "").replace(/-----(?=M)/, "-----\n"),
  ],
];

for (const [how, spell] of SPELLINGS) {
  Deno.test(`A certificate and a key are read ${how}`, () => {
    assert.deepEqual(certificatesOf(spell(CERT)), [CERT]);
    assert.equal(privateKeyOf(spell(KEY)).pem, KEY);
  });
}

for (const parts of [[CERT, KEY], [KEY, CERT]]) {
  Deno.test(`A ${parts[0] === KEY ? "key and a certificate" : "certificate and a key"} are read from one file`, () => {
    const text = `${parts.join("\n")}\n`;
    assert.deepEqual(certificatesOf(text), [CERT]);
    assert.ok(new X509Certificate(CERT).checkPrivateKey(privateKeyOf(text).key));
    assert.ok(holdsPrivateKey(text));
  });
}

Deno.test("certificatesOf() gives all of them, in their order", () => {
  assert.deepEqual(certificatesOf(`${OTHER.cert}\n${KEY}\n${CERT}`), [OTHER.cert, CERT]);
});

for (const label of ["X509 CERTIFICATE", "TRUSTED CERTIFICATE"]) {
  Deno.test(`certificatesOf() takes a ${label} for the certificate that it is`, () => {
    assert.deepEqual(certificatesOf(relabelled(CERT, label)), [CERT]);
  });
}

const utf16 = (text: string) => [...`\ufffd\ufffd${text}`].join("\0");
const cut = (pem: string) => pem.slice(0, -20);
const BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";

/** Texts without a certificate that can be used, and the reason for each. */
const NO_CERTIFICATE: readonly [string, string, string][] = [
  ["no PEM", "# nothing\n", "there is no PEM certificate in it"],
  ["an empty file", "\n", "it is empty"],
  ["a key", KEY, "there is no PEM certificate in it, only PRIVATE KEY"],
  [
    "a request",
    relabelled(CERT, "CERTIFICATE REQUEST"),
    "there is no PEM certificate in it, only CERTIFICATE REQUEST",
  ],
  ["one that is cut off", cut(CERT), "a PEM block in it has no end: is it cut off?"],
  [
    "a second one that is cut off",
    `${CERT}\n${cut(OTHER.cert)}`,
    "a PEM block in it has no end: is it cut off?",
  ],
  [
    "DER",
    "0\ufffd\u0001\ufffd",
    "it is binary (DER or PKCS #12), not PEM: convert it with openssl",
  ],
  ["UTF-16", utf16(CERT), "it is UTF-16: save it as ASCII or UTF-8"],
  ["a broken one", `${CERT}\n${BROKEN}`, "certificate 2 in it cannot be read"],
  [
    "one with \\n for the line ends",
    CERT.replaceAll("\n", "\\n"),
    "certificate 1 in it cannot be read",
  ],
];

for (const [what, text, reason] of NO_CERTIFICATE) {
  Deno.test(`certificatesOf() refuses ${what}, with the reason`, () => {
    assert.throws(() => certificatesOf(text), { message: reason });
  });
}

const CUT_OFF = "a PEM block in it has no end: is it cut off?";

/** Texts of which some can be used: the certificates, and what is said of the rest. */
const PARTLY_USABLE: readonly [string, string, readonly string[], string | undefined][] = [
  ["whole ones", `${CERT}\n${OTHER.cert}\n`, [CERT, OTHER.cert], undefined],
  ["a key beside one", `${KEY}\n${CERT}`, [CERT], undefined],
  ["a last one that is cut off", `${CERT}\n${cut(OTHER.cert)}`, [CERT], CUT_OFF],
  ["a last one that has but begun", `${CERT}\n-----BEGIN CERTIFICATE-----\n`, [CERT], CUT_OFF],
  ["a first one that is cut off", `${OTHER.cert.slice(0, 200)}\n${CERT}`, [CERT], CUT_OFF],
  ["a key that is cut off", `${cut(KEY)}\n${CERT}`, [CERT], CUT_OFF],
  ["one alone that is cut off", cut(CERT), [], CUT_OFF],
  ["a broken one", `${BROKEN}\n${CERT}`, [CERT], "certificate 1 in it cannot be read"],
  [
    "one without its middle",
    `${CERT}\n${OTHER.cert.replace(/\n.*\n/, "\n")}`,
    [CERT],
    "certificate 2 in it cannot be read",
  ],
  ["nothing", "", [], "it is empty"],
  ["text", "text", [], "there is no PEM certificate in it"],
  ["UTF-16", utf16(CERT), [], "it is UTF-16: save it as ASCII or UTF-8"],
];

for (const [what, text, usable, expected] of PARTLY_USABLE) {
  Deno.test(`usableCertificatesOf() takes what can be used of a text with ${what}`, () => {
    const { certificates, problem } = usableCertificatesOf(text);
    assert.deepEqual(certificates.map(pemOf), usable);
    assert.equal(problem, expected);
  });
}

Deno.test("usableCertificatesOf() takes any text, cut anywhere, and never throws", () => {
  const whole = `${CERT}\n# Next\n${OTHER.cert}\n${KEY}\n`;
  const piece = fc.tuple(fc.nat({ max: whole.length }), fc.nat({ max: whole.length }))
    .map(([from, to]) => whole.slice(Math.min(from, to), Math.max(from, to)));
  const text = fc.array(fc.oneof(piece, fc.string(), fc.constant("-----BEGIN CERTIFICATE-----")));
  fc.assert(
    fc.property(text, (pieces) => {
      const { certificates, problem } = usableCertificatesOf(pieces.join("\n"));
      assert.ok(certificates.length > 0 || problem !== undefined);
    }),
    { numRuns: 500 },
  );
  for (let end = 0; end <= whole.length; end++) {
    const { certificates } = usableCertificatesOf(whole.slice(0, end));
    const expected = [CERT, OTHER.cert].filter((pem) => whole.indexOf(pem) + pem.length <= end);
    assert.deepEqual(certificates.map(pemOf), expected);
  }
});

const NO_KEY: readonly [string, string, string][] = [
  ["a certificate", CERT, "there is no PEM private key in it, only CERTIFICATE"],
  [
    "a public key",
    relabelled(KEY, "PUBLIC KEY"),
    "there is no PEM private key in it, only PUBLIC KEY",
  ],
  ["one that is cut off", cut(KEY), "a PEM block in it has no end: is it cut off?"],
  ["one of another form", relabelled(KEY, "RSA PRIVATE KEY"), "its private key cannot be read"],
  [
    "one with a password",
    relabelled(KEY, "ENCRYPTED PRIVATE KEY"),
    "its private key has a password: take it off with openssl pkey",
  ],
  [
    "one with a password, in the old form",
    relabelled(KEY, "EC PRIVATE KEY").replace(
      "\n",
      "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
    ),
    "its private key has a password: take it off with openssl pkey",
  ],
];

for (const [what, text, reason] of NO_KEY) {
  Deno.test(`privateKeyOf() refuses ${what}, with the reason`, () => {
    assert.throws(() => privateKeyOf(text), { message: reason });
  });
}

testThatNeeds(
  { missing: opensslProblem() },
  "What OpenSSL writes is read, or refused for what it is",
  async () => {
    const directory = await Deno.makeTempDir({ prefix: "pem-" });
    try {
      const [cert, key, out] = ["cert.pem", "key.pem", "out.pem"].map((name) =>
        `${directory}/${name}`
      );
      const written = async (...args: string[]) => {
        await openssl(...args, "-out", `${out}`);
        return await Deno.readTextFile(`${out}`);
      };
      await Deno.writeTextFile(`${cert}`, CERT);
      await Deno.writeTextFile(`${key}`, KEY);
      const inCert = ["x509", "-in", `${cert}`];
      assert.deepEqual(certificatesOf(await written(...inCert, "-text")), [CERT]);
      const trusted = await written(...inCert, "-addtrust", "serverAuth", "-trustout");
      assert.throws(
        () => certificatesOf(trusted),
        /certificate 1 in it says what it is trusted for/,
      );
      const der = await written(...inCert, "-outform", "der");
      assert.throws(() => certificatesOf(der), /it is binary/);
      const sec1 = await written("ec", "-in", `${key}`);
      assert.match(sec1, /BEGIN EC PRIVATE KEY/);
      assert.ok(new X509Certificate(CERT).checkPrivateKey(privateKeyOf(sec1).key));
      const curve = await written("ecparam", "-name", "prime256v1");
      assert.ok(new X509Certificate(CERT).checkPrivateKey(privateKeyOf(curve + sec1).key));
      for (const form of [["pkcs8", "-topk8"], ["ec", "-aes128"]]) {
        const locked = await written(...form, "-in", `${key}`, "-passout", "pass:secret");
        assert.throws(() => privateKeyOf(locked), /has a password/);
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);
