import "../lab/backends/tls/reflect_metadata.ts";
import * as x509 from "@peculiar/x509";
import assert from "node:assert/strict";
import { type Counted, counting, withAgent } from "../lab/agent/with_agent.ts";
import { settings } from "../lab/backends/http2/frames.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { type StartBackend, testWithBackends } from "../lab/backends/libraries/library_backends.ts";
import { http1, saying, ssh } from "../lab/backends/peers/tcp_peers.ts";
import { CertificateAuthority, type CertificateFiles } from "../lab/backends/tls/certificates.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

const UP: Counted = { up: 1 };
const TLS: Counted = { error: 1, tls: 1 };
const UNREACHABLE: Counted = { error: 1, "backend_unreachable": 1 };

/** One check: what is asked of a backend with this certificate, and how it must count. */
interface Row {
  name: string;
  certificate?: CertificateFiles;
  ssl?: boolean;
  authority: string;
  counted: Counted;
}

async function checkRows(t: Deno.TestContext, flags: string[], start: StartBackend, rows: Row[]) {
  await withAgent({ flags }, async (agent) => {
    for (const { name, certificate, ssl = true, authority, counted } of rows) {
      await t.step(name, async () => {
        await using backend = await start(certificate ? { tls: certificate } : {});
        // Twice, because the second check may meet what the first has left.
        for (let time = 0; time < 2; time++) {
          const seen = await counting(agent, 1, async () => {
            const reply = await agent.ask(backend.line({ ssl, authority }));
            assert.equal(reply, counted === UP ? "up\n" : "down\n");
          });
          assert.deepEqual(seen, counted);
        }
      });
    }
  });
}

async function checkCertificates(t: Deno.TestContext, start: StartBackend): Promise<void> {
  await using authority = await CertificateAuthority.create();
  await using stranger = await CertificateAuthority.create();
  const named = await authority.issue("api.test", { names: ["api.test", "*.apps.test"] });
  const address = await authority.issue("address", { names: ["127.0.0.1"] });
  const expired = await authority.issue("api.test", { names: ["api.test"], expired: true });
  const client = await authority.issue("api.test", { names: ["api.test"], use: "client" });
  const unknown = await stranger.issueServer("api.test");
  await checkRows(t, ["--tls-ca-file", authority.caFile], start, [
    { name: "the right name is up", certificate: named, authority: "api.test", counted: UP },
    {
      name: "the right name with a port is up",
      certificate: named,
      authority: "api.test:8443",
      counted: UP,
    },
    { name: "a wildcard is up", certificate: named, authority: "a.apps.test", counted: UP },
    { name: "a wrong name is down", certificate: named, authority: "other.test", counted: TLS },
    {
      name: "an address in the certificate is up",
      certificate: address,
      authority: "127.0.0.1",
      counted: UP,
    },
    {
      name: "an address that is not in the certificate is down",
      certificate: named,
      authority: "127.0.0.1",
      counted: TLS,
    },
    {
      name: "an expired certificate is down",
      certificate: expired,
      authority: "api.test",
      counted: TLS,
    },
    {
      name: "an unknown authority is down",
      certificate: unknown,
      authority: "api.test",
      counted: TLS,
    },
    {
      name: "a client's certificate is down",
      certificate: client,
      authority: "api.test",
      counted: TLS,
    },
    { name: "TLS to a plaintext backend is down", authority: "api.test", counted: TLS },
    {
      name: "plaintext to a TLS backend is down",
      certificate: named,
      ssl: false,
      authority: "api.test",
      counted: UNREACHABLE,
    },
  ]);
}

testWithBackends(
  "a backend over TLS is up only with a certificate that is valid for its name",
  (start, t) => checkCertificates(t, start),
);

Deno.test("without --tls-ca-file an authority of one's own is not trusted", async (t) => {
  await using authority = await CertificateAuthority.create();
  const certificate = await authority.issueServer("api.test");
  const name = "a certificate that the system does not know is down";
  await checkRows(t, [], startHealthBackend, [
    { name, certificate, authority: "api.test", counted: TLS },
  ]);
});

async function checkClientCertificates(start: StartBackend): Promise<void> {
  await using authority = await CertificateAuthority.create();
  await using stranger = await CertificateAuthority.create();
  const server = await authority.issueServer("api.test");
  const client = await authority.issue("agent", { use: "client" });
  const unknown = await stranger.issue("agent", { use: "client" });
  await using backend = await start({ tls: { ...server, clientCa: authority.caFile } });
  const line = backend.line({ authority: "api.test" });
  const trust = ["--tls-ca-file", authority.caFile];
  const own = ({ cert, key }: CertificateFiles) => [
    ...["--tls-cert-file", cert],
    ...["--tls-key-file", key],
  ];
  for (
    const [flags, reply] of [
      [own(client), "up\n"],
      [own(unknown), "down\n"],
      [[], "down\n"],
    ] as const
  ) {
    await withAgent({ flags: [...trust, ...flags] }, async (agent) => {
      const { up = 0, error = 0 } = await counting(agent, 2, async () => {
        for (let time = 0; time < 2; time++) assert.equal(await agent.ask(line), reply);
      });
      // In TLS 1.3 the server refuses after the client's handshake has ended well: the error type may be
      // "tls" or that of a connection that was lost.
      assert.deepEqual({ up, error }, reply === "up\n" ? { up: 2, error: 0 } : { up: 0, error: 2 });
    });
  }
}

testWithBackends(
  "a backend that wants a client's certificate is up with the right one only",
  checkClientCertificates,
);

Deno.test("two names on one TLS address are judged each by itself", async () => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issueServer("api.test");
  await using backend = await startHealthBackend({ tls });
  await withAgent({ flags: ["--tls-ca-file", authority.caFile] }, async (agent) => {
    for (let round = 0; round < 3; round++) {
      assert.equal(await agent.ask(backend.line({ authority: "api.test" })), "up\n");
      assert.equal(await agent.ask(backend.line({ authority: "other.test" })), "down\n");
    }
    const { recent } = await backend.report();
    assert.deepEqual([...new Set(recent.map((call) => call.authority))], ["api.test"]);
  });
});

/** DER of NameConstraints: a CA with it may issue for `good.test` and what is below it. */
const GOOD_TEST_ONLY = new Uint8Array([
  ...[0x30, 0x0f, 0xa0, 0x0d, 0x30, 0x0b, 0x82, 0x09],
  ...new TextEncoder().encode("good.test"),
]);

/** @returns the files of a certificate, the first of which has that of its CA as well */
async function withChain(files: CertificateFiles, caFile: string): Promise<CertificateFiles> {
  const pems = await Promise.all([files.cert, caFile].map((file) => Deno.readTextFile(file)));
  await Deno.writeTextFile(files.cert, pems.join(""));
  return files;
}

for (const client of ["native", "grpc-js"]) {
  Deno.test(`only names of hosts name a server, whatever other names hold, with the client ${client}`, async (t) => {
    await using authority = await CertificateAuthority.create();
    const constraints = new x509.Extension("2.5.29.30", true, GOOD_TEST_ONLY);
    await using constrained = await authority.createBelow("Good only", [constraints]);
    const injected = await authority.issue("api.test", {
      names: [
        { type: "url", value: "spiffe://a, DNS:other.test" },
        { type: "email", value: "a, DNS:other.test" },
        { type: "dn", value: "CN=a\\, DNS:other.test" },
        { type: "dns", value: "a, DNS:other.test" },
        "api.test",
      ],
    });
    const quote = { type: "url", value: 'spiffe://a"b' } as const;
    const quoted = await authority.issue("api.test", { names: [quote, "api.test"] });
    const comma = { type: "url", value: "spiffe://a, DNS:other.test" } as const;
    const below = await withChain(
      await constrained.issue("a.good.test", { names: ["a.good.test", comma] }),
      constrained.caFile,
    );
    const rows: Row[] = [
      { name: "a comma: another", certificate: injected, authority: "other.test", counted: TLS },
      { name: "a comma: its own", certificate: injected, authority: "api.test", counted: UP },
      { name: "a quote: its own", certificate: quoted, authority: "api.test", counted: UP },
      { name: "constraints: another", certificate: below, authority: "other.test", counted: TLS },
      { name: "constraints: its own", certificate: below, authority: "a.good.test", counted: UP },
    ];
    const flags = ["--tls-ca-file", authority.caFile, "--grpc-client", client];
    await checkRows(t, flags, startHealthBackend, rows);
  });
}

testWithBackends(
  "a backend that gets a new certificate is judged by the new one",
  async (start) => {
    await using authority = await CertificateAuthority.create();
    await using stranger = await CertificateAuthority.create();
    const good = await authority.issueServer("api.test");
    const bad = await stranger.issueServer("api.test");
    await using first = await start({ tls: good });
    const { port } = first;
    const line = first.line({ authority: "api.test" });
    await withAgent({ flags: ["--tls-ca-file", authority.caFile] }, async (agent) => {
      assert.equal(await agent.ask(line), "up\n");
      await first.kill();
      await using second = await start({ tls: bad, port });
      assert.equal(await agent.ask(line), "down\n");
      await second.kill();
      await using _third = await start({ tls: good, port });
      assert.equal(await agent.ask(line), "up\n");
    });
  },
);

Deno.test("a certificate of a CA that has expired is down, as for HAProxy, even beside another CA", async () => {
  await using expired = await CertificateAuthority.create("Expired authority", -1);
  await using other = await CertificateAuthority.create("Other authority");
  const [ofExpired, ofOther] = await Promise.all(
    [expired, other].map((authority) => authority.issueServer("api.test")),
  );
  await using directory = await TempDirectory.create();
  const both = await directory.write(
    "both.pem",
    await Deno.readTextFile(expired.caFile) + await Deno.readTextFile(other.caFile),
  );
  for (const grpcClient of ["native", "grpc-js"]) {
    for (
      const [tls, caFile, reply] of [
        [ofExpired, expired.caFile, /^down #tls: Every CA certificate to verify with has expired/],
        [ofExpired, both, /^down #tls: /],
        [ofOther, both, /^up/],
      ] as const
    ) {
      await using backend = await startHealthBackend({ tls: tls ?? assert.fail() });
      const flags = [
        "--tls-ca-file",
        caFile,
        "--grpc-client",
        grpcClient,
        "--reply-reason",
        "true",
      ];
      await withAgent({ flags }, async (agent) => {
        assert.match(
          await agent.ask(`127.0.0.1 ${backend.port} ssl api.test\n`),
          reply,
          grpcClient,
        );
      });
    }
  }
});

const NO_TLS = /^The peer does not speak TLS: should the line say no-ssl\?$/;

/** What answers TLS's first message, and what is said of it. */
const NOT_QUITE_TLS = [
  ["a gRPC server without TLS", startHealthBackend, NO_TLS],
  ["HTTP/2's SETTINGS", () => saying(settings()), NO_TLS],
  ["HTTP/1.1", http1, NO_TLS],
  ["SSH, which speaks first", ssh, NO_TLS],
  ["one byte", () => saying(Uint8Array.of(0x4e)), NO_TLS],
  [
    "a TLS record that is broken",
    () => saying(Uint8Array.of(0x16, 3, 3, 0, 5, 2, 0, 0, 1, 1)),
    /^received corrupt message/,
  ],
  ["handshake_failure", () => alerting(40), /^The peer ended the handshake: it has no cipher/],
  ["unrecognized_name", () => alerting(112), /^The server has no certificate for the name/],
  ["access_denied", () => alerting(49), /^received fatal alert: AccessDenied$/],
  [
    "a record of data",
    () => saying(Uint8Array.of(0x17, 3, 3, 0, 1, 0)),
    /^received unexpected message: got ApplicationData/,
  ],
] as const;

/** A peer that answers TLS's first message with a fatal alert (RFC 8446, section 6). */
function alerting(description: number) {
  return saying(Uint8Array.of(0x15, 3, 3, 0, 2, 2, description));
}

for (const client of ["native", "grpc-js"]) {
  Deno.test(`what answers TLS's first message otherwise is told as what it is, with the client ${client}`, async (t) => {
    await withAgent({ flags: ["--grpc-client", client] }, async (agent) => {
      for (const [what, start, reason] of NOT_QUITE_TLS) {
        await t.step(what, async () => {
          await using peer = await start();
          const logged = agent.logs.length;
          const line = `127.0.0.1 ${peer.port} ssl backend.test\n`;
          assert.deepEqual(
            await counting(agent, 1, async () => assert.equal(await agent.ask(line), "down\n")),
            TLS,
          );
          const { error } = await eventually(
            "the check to be logged",
            () => agent.logs.slice(logged).find(({ message }) => message === "Check answered"),
          );
          assert.match(String(error), reason);
        });
      }
    });
  });
}
