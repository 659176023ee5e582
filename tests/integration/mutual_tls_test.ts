import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { counting, withAgent } from "../lab/agent/with_agent.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../lab/backends/libraries/health_backend.ts";
import {
  type StartBackend,
  startGoBackend,
  testWithBackends,
  testWithGo,
} from "../lab/backends/libraries/library_backends.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

/** A line that names a profile of the configuration. */
function lineFor(backend: HealthBackend, profile?: string, authority?: string): string {
  const line = backend.line(authority === undefined ? {} : { authority });
  return profile === undefined ? line : line.replace("\n", ` tls=${profile}\n`);
}

/** Asks, twice; each must be `down`, counted as tls, and logged with a text that says what is wrong. */
async function assertRefused(agent: AgentProcess, line: string, why: RegExp): Promise<void> {
  for (let time = 0; time < 2; time++) {
    const logged = agent.logs.length;
    const counted = await counting(agent, 1, async () => {
      assert.equal(await agent.ask(line), "down\n");
    });
    assert.deepEqual(counted, { error: 1, tls: 1 });
    const entries = () => agent.logs.slice(logged).filter(({ error_type: type }) => type === "tls");
    await eventually("it to be logged", () => entries().length > 0);
    for (const { error } of entries()) assert.match(String(error), why);
  }
}

async function testMutualTls(t: Deno.TestContext, start: StartBackend): Promise<void> {
  await using authority = await CertificateAuthority.create("Our authority");
  await using stranger = await CertificateAuthority.create("Another authority");
  const server = await authority.issueServer();
  const client = await authority.issue("the agent", { use: "client" });
  const strange = await stranger.issue("the agent", { use: "client" });
  await using demanding = await start({ tls: { ...server, clientCa: authority.caFile } });
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "agent.toml",
    `tls_ca_file = "${authority.caFile}"
[tls.edge]
ca_file = "${authority.caFile}"
cert_file = "${client.cert}"
key_file = "${client.key}"
[tls.strange]
ca_file = "${authority.caFile}"
cert_file = "${strange.cert}"
key_file = "${strange.key}"
`,
  );
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    await t.step("with tls=NAME and its client certificate it is up", async () => {
      assert.equal(await agent.ask(lineFor(demanding, "edge")), "up\n");
      assert.equal(await agent.ask(lineFor(demanding, "edge")), "up\n");
    });
    await t.step("without a client certificate it is down, and the log says so", async () => {
      await assertRefused(agent, lineFor(demanding), /demand a client certificate/);
    });
    await t.step(
      "with a certificate it does not trust it is down, and the log says so",
      async () => {
        await assertRefused(agent, lineFor(demanding, "strange"), /refuse the client certificate/);
      },
    );
    await t.step("no profile has spoilt another", async () => {
      assert.equal(await agent.ask(lineFor(demanding, "edge")), "up\n");
    });
    await t.step("a profile that does not exist is an invalid line", async () => {
      const counted = await counting(agent, 1, async () => {
        assert.equal(await agent.ask(lineFor(demanding, "none")), "down\n");
      });
      assert.deepEqual(counted, { error: 1, "parse_error": 1 });
    });
  });
  const flags = ["--tls-ca-file", authority.caFile];
  flags.push("--tls-cert-file", client.cert, "--tls-key-file", client.key);
  await withAgent({ flags }, async (agent) => {
    await t.step("with the certificate of tls_cert_file it is up", async () => {
      assert.equal(await agent.ask(lineFor(demanding)), "up\n");
    });
  });
}

testWithBackends(
  "a backend that demands a client certificate",
  (start, t) => testMutualTls(t, start),
);

testWithGo("what a backend's alert says of the client certificate stands in the log", async (t) => {
  await using authority = await CertificateAuthority.create("Our authority");
  await using stranger = await CertificateAuthority.create("Another authority");
  const tls = { ...await authority.issueServer(), clientCa: authority.caFile };
  await using demanding = await startGoBackend({ tls });
  const own = { use: "client" } as const;
  const rows = [
    { what: "none at all", files: undefined, alert: "CertificateRequired" },
    {
      what: "one of an unknown authority",
      files: await stranger.issue("the agent", own),
      alert: "UnknownCA",
    },
    {
      what: "an expired one",
      files: await authority.issue("the agent", { ...own, expired: true }),
      alert: "CertificateExpired",
    },
  ];
  for (const { what, files, alert } of rows) {
    const flags = ["--tls-ca-file", authority.caFile];
    if (files) flags.push("--tls-cert-file", files.cert, "--tls-key-file", files.key);
    await t.step(what, async () => {
      await withAgent({ flags }, async (agent) => {
        const why = new RegExp(`^received fatal alert: ${alert} .*: does it .* client certificate`);
        await assertRefused(agent, demanding.line(), why);
      });
    });
  }
});

Deno.test("what is wrong with a backend's certificate stands in the log", async (t) => {
  await using authority = await CertificateAuthority.create("Our authority");
  await using stranger = await CertificateAuthority.create("Another authority");
  const names = ["backend.test"];
  const rows = [
    {
      what: "expired",
      certificate: await authority.issue("backend.test", { names, expired: true }),
      why: /^The certificate expired at \d{4}-\d\d-\d\dT/,
    },
    {
      what: "of an unknown authority",
      certificate: await stranger.issue("backend.test", { names }),
      why: /^The certificate, issued by CN=Another authority, is not trusted/,
    },
    {
      what: "for another name",
      certificate: await authority.issueServer("other.test"),
      why: /backend\.test.*is not in the cert's altnames: DNS:other\.test/,
    },
  ];
  await withAgent({ flags: ["--tls-ca-file", authority.caFile] }, async (agent) => {
    for (const { what, certificate, why } of rows) {
      await t.step(what, async () => {
        await using backend = await startHealthBackend({ tls: certificate });
        await assertRefused(agent, backend.line(), why);
      });
    }
  });
});

Deno.test("server_name is sent and looked for instead of the request's name", async () => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issueServer("inner.test");
  await using backend = await startHealthBackend({ tls });
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "agent.toml",
    `tls_ca_file = "${authority.caFile}"
[tls.inner]
ca_file = "${authority.caFile}"
server_name = "inner.test"
`,
  );
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    assert.equal(await agent.ask(lineFor(backend, "inner", "outer.test")), "up\n");
    const { recent } = await backend.report();
    assert.equal(recent.at(-1)?.authority, "outer.test", "The authority stays the request's");
    assert.equal(await agent.ask(lineFor(backend, undefined, "outer.test")), "down\n");
    assert.equal(await agent.ask(lineFor(backend, undefined, "inner.test")), "up\n");
  });
});

Deno.test("insecure_skip_verify takes any certificate, for its profile alone, with a warning at each start", async () => {
  await using stranger = await CertificateAuthority.create();
  const tls = await stranger.issue("other.test", { names: ["other.test"], expired: true });
  await using backend = await startHealthBackend({ tls });
  await using directory = await TempDirectory.create();
  const config = await directory.write("agent.toml", "[tls.lab]\ninsecure_skip_verify = true\n");
  for (let start = 0; start < 2; start++) {
    await withAgent({ flags: ["--config", config] }, async (agent) => {
      assert.equal(await agent.ask(lineFor(backend, "lab")), "up\n");
      assert.equal(await agent.ask(lineFor(backend)), "down\n");
      const warning = await agent.waitForLog("of the risk", ({ level, message }) => {
        return level === "warn" && message.includes("insecure_skip_verify");
      });
      assert.match(warning.message, /^tls\.lab\.insecure_skip_verify: any certificate is taken/);
    });
  }
});

Deno.test("a profile whose table is empty trusts the machine's authorities", async () => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issueServer();
  await using backend = await startHealthBackend({ tls });
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "agent.toml",
    `tls_ca_file = "${authority.caFile}"\n[tls.public]\n`,
  );
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    await assertRefused(agent, lineFor(backend, "public"), /is not trusted/);
  });
});
