// Certificates that TLS in Deno (rustls) refuses, most of which OpenSSL accepts: the reason must say what it is.

import "../lab/backends/tls/reflect_metadata.ts";
import * as x509 from "@peculiar/x509";
import assert from "node:assert/strict";
import { counting, withAgent } from "../lab/agent/with_agent.ts";
import {
  CertificateAuthority,
  type CertificateFiles,
  type IssueOptions,
} from "../lab/backends/tls/certificates.ts";
import { makeSelfSigned, opensslProblem, OpensslServer } from "../lab/backends/tls/openssl.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";
import { testThatNeeds } from "../lab/testing/test_that_needs.ts";

const NAMES = ["backend.test"];

/** DER of a value that nobody looks into. */
const ANY = new Uint8Array([0x05, 0x00]);

function critical(oid: string): IssueOptions {
  return { names: NAMES, extensions: [new x509.Extension(oid, true, ANY)] };
}

/** A critical extension fails the handshake before there is a certificate to look at. */
const CANNOT_BE_USED = /The certificate cannot be used: .*critical extension.*policyConstraints/;

/** The server finds that it has nothing to offer. */
const NOTHING_IN_COMMON = /The peer ended the handshake: .*RSA-PSS.* P-521 with TLS 1\.3 only/;

const BEFORE_VERIFICATION = [CANNOT_BE_USED, NOTHING_IN_COMMON];

const EC = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

/** By what is odd about a server's certificate: what is said when it is asked. */
const BY_OUR_CA: readonly [string, IssueOptions, RegExp][] = [
  ["CA:TRUE", { names: NAMES, ca: true }, /The certificate is that of a CA \(CA:TRUE\)/],
  ["a critical policyConstraints", critical("2.5.29.36"), CANNOT_BE_USED],
  ["a critical inhibitAnyPolicy", critical("2.5.29.54"), CANNOT_BE_USED],
  ["a critical certificatePolicies", critical("2.5.29.32"), CANNOT_BE_USED],
  [
    "a client's",
    { names: NAMES, use: "client" },
    /not for servers: its extended key usage lacks serverAuth/,
  ],
  ["not yet valid", { names: NAMES, fromDays: 1 }, /The certificate is not valid before \d{4}-/],
  ["expired", { names: NAMES, expired: true }, /The certificate expired at \d{4}-/],
];

/** A server, and the reason with which it must be down. */
interface Row {
  readonly what: string;
  readonly certificate: CertificateFiles;
  /** A file with certificates that the server sends along. */
  readonly chain?: string;
  /** Further arguments of `openssl s_server`. */
  readonly more?: readonly string[];
  readonly why: RegExp;
}

async function checkReasons(t: Deno.TestContext, caFile: string, rows: readonly Row[]) {
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "agent.toml",
    `tls_ca_file = "${caFile}"\n[tls.lab]\ninsecure_skip_verify = true\n`,
  );
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    for (const { what, certificate, chain, more, why } of rows) {
      await t.step(what, async () => {
        await using server = await OpensslServer.start(certificate, chain, more);
        // What fails the handshake does so without verification, too.
        const profiles = BEFORE_VERIFICATION.includes(why) ? ["", " tls=lab"] : [""];
        for (const profile of profiles) {
          const logged = agent.logs.length;
          const counted = await counting(agent, 1, async () => {
            const line = `127.0.0.1 ${server.port} ssl backend.test${profile}\n`;
            assert.equal(await agent.ask(line), "down\n");
          });
          assert.deepEqual(counted, { error: 1, tls: 1 });
          const { error } = await eventually(
            "the reason in the log",
            () => agent.logs.slice(logged).find(({ error_type: type }) => type === "tls"),
          );
          assert.match(String(error), why);
        }
      });
    }
  });
}

const need = { missing: opensslProblem() };

testThatNeeds(
  need,
  "the reason says what is odd about a certificate of a CA that is trusted",
  async (t) => {
    await using authority = await CertificateAuthority.create();
    const rows = BY_OUR_CA.map(async ([what, options, why]) => {
      return { what, certificate: await authority.issue("backend.test", options), why };
    });
    await checkReasons(t, authority.caFile, await Promise.all(rows));
  },
);

testThatNeeds(
  need,
  "the reason says what is the matter with the CAs above a certificate",
  async (t) => {
    await using root = await CertificateAuthority.create("Root");
    await using below = await root.createBelow("Below");
    await using odd = await root.createBelow("Odd", [new x509.Extension("2.5.29.36", true, ANY)]);
    const issue = (authority: CertificateAuthority) =>
      authority.issue("backend.test", { names: NAMES });
    await checkReasons(t, root.caFile, [
      {
        what: "one that is not sent along",
        certificate: await issue(below),
        why:
          /issued by CN=Below, is not trusted: no certificate of CN=Below is trusted, or sent along/,
      },
      {
        what: "one with a critical policyConstraints",
        certificate: await issue(odd),
        chain: odd.caFile,
        why: /The certificate of the CA CN=Odd has a critical extension .*: policyConstraints/,
      },
    ]);
  },
);

testThatNeeds(need, "the reason says which keys and signatures are not accepted", async (t) => {
  await using authority = await CertificateAuthority.create();
  await using directory = await TempDirectory.create();
  const selfSigned = async (name: string, ...key: string[]) => {
    await Deno.mkdir(`${directory.path}/${name}`);
    return await makeSelfSigned(`${directory.path}/${name}`, key);
  };
  const rsa = ["-algorithm", "RSA", "-pkeyopt"];
  const p521 = await selfSigned("p521", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521");
  await checkReasons(t, authority.caFile, [
    {
      what: "self-signed",
      certificate: await selfSigned("ec", ...EC),
      why: /is self-signed, and not among/,
    },
    {
      what: "RSA 1024",
      certificate: await selfSigned("short", ...rsa, "rsa_keygen_bits:1024"),
      why: CANNOT_BE_USED,
    },
    {
      what: "RSA-PSS",
      certificate: await selfSigned("pss", "-algorithm", "RSA-PSS"),
      why: NOTHING_IN_COMMON,
    },
    {
      what: "P-521 with TLS 1.2",
      certificate: p521,
      more: ["-tls1_2"],
      why: NOTHING_IN_COMMON,
    },
    {
      what: "P-521 with TLS 1.3, which is self-signed",
      certificate: p521,
      why: /is self-signed, and not among/,
    },
  ]);
});
