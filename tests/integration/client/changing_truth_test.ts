// A connection that is kept must not hide what a new one would meet: another address behind the name, rules and
// certificates of a new configuration. And a reload that changes nothing must not cost a connection.

import assert from "node:assert/strict";
import { withAgent } from "../../lab/agent/with_agent.ts";
import { startHealthBackend } from "../../lab/backends/libraries/health_backend.ts";
import { ScriptedServer } from "../../lab/backends/peers/scripted_server.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import { testPlainAndTls } from "../../lab/backends/tls/test_plain_and_tls.ts";
import { testWithOwnNames } from "../../lab/machine/own_names.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";

/** How long the agent may believe what a name was, and a second of room. */
const NAME_CACHE_MS = 6000;

testWithOwnNames(
  "a name whose address has changed is judged by the new one, though the old connection lives",
  { "moving.test": ["127.0.0.1"], "failing.test": ["127.0.0.1"], "gone.test": ["127.0.0.1"] },
  async (wrapper, change) => {
    await using authority = await CertificateAuthority.create();
    const names = ["moving.test", "failing.test", "gone.test"];
    const tls = await authority.issue("all", { names });
    await using first = await startHealthBackend({ tls });
    const { port } = first;
    await using _second = await startHealthBackend({
      ...{ host: "127.0.0.9", port, tls },
      services: { "": "NOT_SERVING" },
    });
    const flags = ["--tls-ca-file", authority.caFile, "--reply-reason", "true"];
    await withAgent({ wrapper, flags }, async (agent) => {
      const ask = (name: string) => agent.ask(`${name} ${port} ssl ${name}\n`);
      for (const name of names) assert.match(await ask(name), /^up\b/);
      await change({
        "moving.test": ["127.0.0.9"],
        "failing.test": ["127.0.0.8"],
        "gone.test": [],
      });
      const expected = {
        "moving.test": /^down #NOT_SERVING/,
        "failing.test": /^down #backend_unreachable/,
        "gone.test": /^down #dns/,
      };
      await Promise.all(
        Object.entries(expected).map(async ([name, truth]) => {
          const isTrue = async () => truth.test(await ask(name));
          await eventually(`the truth about ${name}`, isTrue, { timeoutMs: NAME_CACHE_MS });
          for (let check = 0; check < 3; check++) assert.match(await ask(name), truth);
        }),
      );
    });
  },
);

testWithOwnNames(
  "a target that a new configuration forbids is denied from the next check on, by address and by name",
  { "some.test": ["127.0.0.1"] },
  async (wrapper) => {
    await using plain = await ScriptedServer.start();
    await using directory = await TempDirectory.create();
    const config = await directory.write("agent.toml", "reply_reason = true\n");
    await withAgent({ wrapper, flags: ["--config", config] }, async (agent) => {
      const lines = ["127.0.0.1", "some.test"].map((host) => plain.line({ host }));
      using kept = await agent.connect();
      for (let round = 0; round < 3; round++) {
        for (const line of lines) assert.match(await kept.ask(line), /^up\b/);
        const rule = [`"127.0.0.0/8:${plain.port + 1}"`, '"10.0.0.0/8"', '"*.other.test"'][round];
        await directory.write("agent.toml", `reply_reason = true\nallow_backends = [${rule}]\n`);
        await agent.reload();
        const calls = plain.calls.length;
        for (const line of lines) assert.equal(await kept.ask(line), "down #denied\n");
        assert.equal(plain.calls.length, calls, "It was asked");
        await eventually("the connections to be closed", () => plain.open.length === 0);
        await directory.write("agent.toml", "reply_reason = true\n");
        await agent.reload();
      }
    });
  },
);

Deno.test("a CA removed from its file, and verification switched on, hold from the next check after SIGHUP", async () => {
  await using old = await CertificateAuthority.create("Old");
  await using fresh = await CertificateAuthority.create("Fresh");
  await using stranger = await CertificateAuthority.create("Stranger");
  const name = { names: ["backend.test"] };
  await using byOld = await ScriptedServer.start({
    tls: { ...await old.issue("backend.test", name), alpn: ["h2"] },
  });
  await using byStranger = await ScriptedServer.start({
    tls: { ...await stranger.issue("backend.test", name), alpn: ["h2"] },
  });
  await using directory = await TempDirectory.create();
  const read = (authority: CertificateAuthority) => Deno.readTextFile(authority.caFile);
  const [oldPem, freshPem] = [await read(old), await read(fresh)];
  const ca = await directory.write("ca.pem", oldPem + freshPem);
  const write = (skips: boolean) =>
    directory.write(
      "agent.toml",
      `reply_reason = true\ntls_ca_file = "${ca}"\n[tls.edge]\nca_file = "${ca}"\n` +
        `[tls.open]\nca_file = "${ca}"\ninsecure_skip_verify = ${skips}\n`,
    );
  const config = await write(true);
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    const lines = [
      ...["", "tls=edge"].map((option) => byOld.line({ option })),
      byStranger.line({ option: "tls=open" }),
    ];
    for (let round = 0; round < 2; round++) {
      for (const line of lines) assert.match(await agent.ask(line), /^up\b/);
      await directory.write("ca.pem", freshPem);
      await write(false);
      await agent.reload();
      for (const line of lines) assert.match(await agent.ask(line), /^down #tls: /);
      await directory.write("ca.pem", freshPem + oldPem);
      await write(true);
      await agent.reload();
    }
  });
});

testPlainAndTls(
  "a reload that changes nothing for a target keeps its connection, also when files move and other settings change",
  async ({ ssl, flags, server }) => {
    await using backend = await ScriptedServer.start(server);
    await using directory = await TempDirectory.create();
    const [, caFile] = flags;
    const pem = caFile === undefined ? "" : await Deno.readTextFile(caFile);
    const write = async (index: number) => {
      const file = await directory.write(`ca${index}.pem`, pem);
      const tls = ssl ? `tls_ca_file = "${file}"\n` : "";
      const others = index % 2 === 0
        ? "# nothing else\n"
        : 'allow_backends = ["127.0.0.0/8"]\nfall = 2\n';
      return await directory.write("agent.toml", tls + others);
    };
    await withAgent({ flags: ["--config", await write(0)] }, async (agent) => {
      for (let index = 1; index <= 4; index++) {
        assert.equal(await agent.ask(backend.line()), "up\n");
        await write(index);
        await agent.reload();
      }
      assert.equal(await agent.ask(backend.line()), "up\n");
      assert.equal(backend.connections.length, 1);
      assert.deepEqual(backend.violations, []);
    });
  },
);

Deno.test("a plain connection serves any authority, a TLS one its server name only", async () => {
  await using authority = await CertificateAuthority.create();
  const files = await authority.issue("all", { names: ["a.test", "b.test"] });
  await using plain = await ScriptedServer.start();
  await using secure = await ScriptedServer.start({ tls: { ...files, alpn: ["h2"] } });
  await withAgent({ flags: ["--tls-ca-file", authority.caFile] }, async (agent) => {
    for (let round = 0; round < 2; round++) {
      for (const name of ["a.test", "b.test"]) {
        assert.equal(await agent.ask(plain.line({ authority: name })), "up\n");
        assert.equal(await agent.ask(secure.line({ authority: name })), "up\n");
      }
      assert.equal(await agent.ask(secure.line({ authority: "c.test" })), "down\n");
    }
    assert.equal(plain.connections.length, 1);
    assert.equal(secure.connections.filter(({ calls }) => calls.length > 0).length, 2);
  });
});
