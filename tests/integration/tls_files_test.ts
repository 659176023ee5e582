// The agent's own PEM files: what is taken, what is refused before it is in force, and a machine without CAs.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { runAgent } from "../lab/agent/run_agent.ts";
import { counting, withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { CertificateAuthority, type CertificateFiles } from "../lab/backends/tls/certificates.ts";
import { makeSelfSigned, opensslProblem } from "../lab/backends/tls/openssl.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";
import { succeeds, testThatNeeds } from "../lab/testing/test_that_needs.ts";

/** Hides where the systems keep the CAs of the machine, as in a slim container image. @param command run then */
function withoutCas(command = "true"): string[] {
  const hidden = "/mnt/ssl /mnt/pki /mnt/ca-certificates /mnt/openssl";
  const steps = [
    "mount -t tmpfs none /mnt",
    "cp -a /etc/. /mnt",
    `rm -rf ${hidden}`,
    "mount --bind /mnt /etc",
    command,
    'exec "$@"',
  ];
  return ["unshare", "--mount", "sh", "-c", steps.join(" && "), "sh"];
}

function mountProblem(): string | undefined {
  return succeeds("unshare", "--mount", "true")
    ? undefined
    : "it takes root to hide the machine's CAs";
}

async function checkWithoutCas(env: Record<string, string>, wrapper: string[], problem: RegExp) {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issueServer();
  await using backend = await startHealthBackend({ tls });
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "agent.toml",
    `[tls.own]\nca_file = "${authority.caFile}"\n[tls.lab]\ninsecure_skip_verify = true\n[tls.public]\n`,
  );
  const flags = ["--config", config, "--reply-reason"];
  const lineFor = (profile: string) => backend.line().replace("\n", `${profile}\n`);
  const { code, stderr } = await runAgent([...flags, "--check-config"], env, wrapper);
  assert.equal(code, 0);
  await withAgent({ flags, env, wrapper }, async (agent) => {
    assert.equal(await agent.ask(lineFor(" tls=own")), "up\n");
    assert.equal(await agent.ask(lineFor(" tls=lab")), "up\n");
    const reason =
      /^down #tls: The agent's machine has no CA certificates to verify with: set (\S+),/;
    for (const [profile, setting] of [["", "tls_ca_file"], [" tls=public", "tls.public.ca_file"]]) {
      const [, named] = reason.exec(await agent.ask(lineFor(profile ?? ""))) ?? [];
      assert.equal(named, setting);
    }
    const warnings = agent.logs.filter(({ level }) => level === "warn").map(({ message }) =>
      message
    );
    for (const lines of [stderr, warnings]) {
      const told = lines.filter((line) => line.includes("no CA certificates"));
      assert.equal(told.length, 2, lines.join("\n"));
      assert.match(told[0] ?? "", /tls_ca_file: checks with ssl are down/);
      assert.match(told[1] ?? "", /tls\.public\.ca_file: checks with tls=public are down/);
      for (const line of told) assert.match(line, problem);
    }
  });
}

Deno.test("where SSL_CERT_FILE names nothing, profiles that need no CAs of the machine work; others say what is missing", async () => {
  const env = { SSL_CERT_FILE: "/nowhere/cas.pem" };
  await checkWithoutCas(env, [], /\(SSL_CERT_FILE, \/nowhere\/cas\.pem: No such file/);
});

testThatNeeds(
  { missing: mountProblem() },
  "on a machine without CAs, profiles that need none work; others say what is missing",
  async () => {
    await checkWithoutCas(
      { SSL_CERT_FILE: "", SSL_CERT_DIR: "" },
      withoutCas(),
      /none of \/etc\/ssl\/certs\/ca-certificates\.crt, .* has any\)/,
    );
  },
);

Deno.test("the CAs that SSL_CERT_FILE names are those of the machine", async () => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issueServer();
  await using backend = await startHealthBackend({ tls });
  await withAgent({ env: { SSL_CERT_FILE: authority.caFile } }, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    assert.deepEqual(agent.logs.filter(({ level }) => level === "warn"), []);
  });
});

for (const client of ["native", "grpc-js"]) {
  Deno.test(`CAs of the machine whose file is cut off are used as far as they go, with the client ${client}`, async () => {
    await using authority = await CertificateAuthority.create();
    await using other = await CertificateAuthority.create();
    const tls = await authority.issueServer();
    await using backend = await startHealthBackend({ tls });
    await using directory = await TempDirectory.create();
    const ca = await Deno.readTextFile(authority.caFile);
    const half = (await Deno.readTextFile(other.caFile)).slice(0, 200);
    const file = await directory.write("cas.pem", `${ca}${half}`);
    const env = { SSL_CERT_FILE: file };
    const flags = ["--reply-reason", "--grpc-client", client];
    const leftOut =
      `SSL_CERT_FILE, ${file}: CA certificates in it are left out: a PEM block in it ` +
      "has no end: is it cut off?";
    const { code, stderr } = await runAgent([...flags, "--server-bind=::1", "--check-config"], env);
    assert.deepEqual([code, stderr], [0, [`haproxy-grpc-agent: ${leftOut}`]]);
    await withAgent({ flags, env }, async (agent) => {
      const warnings = () =>
        agent.logs.filter(({ level }) => level === "warn").map(({ message }) => message);
      assert.equal(await agent.ask(backend.line()), "up\n");
      assert.deepEqual(warnings(), [leftOut]);
      await agent.reload();
      assert.deepEqual(warnings(), [leftOut, leftOut]);
      assert.equal(await agent.ask(backend.line()), "up\n");

      await directory.write("cas.pem", half);
      await agent.reload();
      assert.match(
        warnings().at(-1) ?? "",
        /^tls_ca_file: checks with ssl are down\. .*cut off\?\)$/,
      );
      const counted = await counting(agent, 1, async () => {
        assert.match(await agent.ask(backend.line()), /^down #tls: The agent's machine has no CA/);
      });
      assert.deepEqual(counted, { error: 1, tls: 1 });

      await directory.write("cas.pem", ca);
      await agent.reload();
      assert.equal(await agent.ask(backend.line()), "up\n");
      assert.equal(warnings().filter((line) => line === leftOut).length, 2);
    });
  });
}

/** The one file with CAs that a Fedora 44 has. */
const FEDORA_44 = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem";

testThatNeeds({ missing: mountProblem() }, "the CAs of a Fedora 44 are found", async () => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issueServer();
  await using backend = await startHealthBackend({ tls });
  const env = { SSL_CERT_FILE: "", CAS: authority.caFile };
  const install = `install -D "$CAS" ${FEDORA_44}`;
  await withAgent({ env, wrapper: withoutCas(install) }, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
  });
});

/** Texts that hold a client certificate and its key, or a CA, in spellings that are met. */
const SPELLINGS: readonly [string, (pem: string) => string][] = [
  ["CRLF", (pem) => pem.replaceAll("\n", "\r\n")],
  ["a byte order mark", (pem) => `\ufeff${pem}`],
  ["blank lines before and after", (pem) => `\n\n${pem}\n\n`],
  ["TRUSTED CERTIFICATE", (pem) => pem.replaceAll(" CERTIFICATE", " TRUSTED CERTIFICATE")],
];

async function oneFile({ cert, key }: CertificateFiles): Promise<string> {
  return await Deno.readTextFile(cert) + await Deno.readTextFile(key);
}

Deno.test("a client certificate and its key in one file are taken, however the file is written", async (t) => {
  await using authority = await CertificateAuthority.create();
  const server = await authority.issueServer();
  const pem = await oneFile(await authority.issue("agent", { use: "client" }));
  const ca = await Deno.readTextFile(authority.caFile);
  await using backend = await startHealthBackend({
    tls: { ...server, clientCa: authority.caFile },
  });
  await using directory = await TempDirectory.create();
  for (const [what, spell] of [["nothing odd", (pem: string) => pem] as const, ...SPELLINGS]) {
    await t.step(what, async () => {
      const files = {
        ca_file: await directory.write("ca.pem", spell(ca)),
        cert_file: await directory.write("client.pem", spell(pem)),
      };
      const keys = Object.entries(files).map(([key, path]) => `${key} = "${path}"\n`).join("");
      const config = await directory.write(
        "agent.toml",
        `[tls.edge]\n${keys}`,
      );
      const flags = ["--config", config, "--tls-ca-file", authority.caFile];
      await withAgent({ flags }, async (agent) => {
        assert.equal(await agent.ask(backend.line().replace("\n", " tls=edge\n")), "up\n");
      });
    });
  }
});

/** Keys for which no TLS handshake can be made, by the arguments of `openssl genpkey`. */
const UNUSABLE_KEYS: readonly [string, string[], RegExp][] = [
  ["RSA-PSS", ["-algorithm", "RSA-PSS"], /keys that can be used are RSA of 2048 bits or more/],
  [
    "secp256k1",
    ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
    /keys that can be used are/,
  ],
  ["Ed448", ["-algorithm", "ED448"], /keys that can be used are/],
  [
    "RSA 1024",
    ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
    /has an RSA key of 1024 bits/,
  ],
];

testThatNeeds(
  { missing: opensslProblem() },
  "a reload with a key that no handshake can be made with changes nothing, and --check-config says so",
  async (t) => {
    await using authority = await CertificateAuthority.create();
    const server = await authority.issueServer();
    const client = await authority.issue("agent", { use: "client" });
    await using backend = await startHealthBackend({
      tls: { ...server, clientCa: authority.caFile },
    });
    await using directory = await TempDirectory.create();
    const install = async (pem: string) => await directory.write("client.pem", pem);
    const own = await oneFile(client);
    const flags = ["--tls-ca-file", authority.caFile, "--tls-cert-file", await install(own)];
    await withAgent({ flags }, async (agent) => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      for (const [what, key, reason] of UNUSABLE_KEYS) {
        await t.step(what, async () => {
          await install(await oneFile(await makeSelfSigned(directory.path, key)));
          const { code, stderr } = await runAgent([...flags, "--check-config"]);
          assert.equal(code, 1);
          assert.match(stderr.join("\n"), reason);
          const logged = agent.logs.length;
          agent.signal("SIGHUP");
          await eventually(
            "the reload to be refused",
            () =>
              agent.logs.slice(logged).some(({ message }) => message.includes("stays as it was")),
          );
          const errors = agent.logs.slice(logged).filter(({ component }) => component === "config");
          assert.match(
            errors[0]?.message ?? "",
            /^tls_cert_file \(from --tls-cert-file\): ".*client\.pem" cannot be used: no TLS handshake/,
          );
          assert.match(errors[0]?.message ?? "", reason);
          await backend.restart();
          assert.equal(await agent.ask(backend.line()), "up\n");
        });
      }
      await t.step("a good one is taken after that", async () => {
        const next = await authority.issue("the next agent", { use: "client" });
        await install(await oneFile(next));
        agent.signal("SIGHUP");
        await agent.waitForLog(
          "of the reload",
          ({ message }) => message === "Configuration read again",
        );
        assert.equal(await agent.ask(backend.line()), "up\n");
        const { subject } = new X509Certificate(await Deno.readTextFile(next.cert));
        assert.equal(subject, "CN=the next agent");
      });
    });
  },
);

testThatNeeds(
  { missing: opensslProblem() },
  "a client's key on P-521 is taken, with a warning that servers with TLS 1.2 refuse it",
  async () => {
    await using directory = await TempDirectory.create();
    const curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"];
    const { cert, key } = await makeSelfSigned(directory.path, curve);
    const config = await directory.write(
      "agent.toml",
      `[tls.edge]\ncert_file = "${cert}"\nkey_file = "${key}"\n`,
    );
    const { code, stderr } = await runAgent([
      ...["--config", config, "--server-bind", "::1", "--check-config"],
    ]);
    assert.equal(code, 0);
    assert.deepEqual(stderr, [
      "haproxy-grpc-agent: tls.edge.cert_file: the certificate CN=self has a key on P-521, which can " +
      "be used with TLS 1.3 only: servers with TLS 1.2 end the handshake",
    ]);
  },
);
