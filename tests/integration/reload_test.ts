import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { RELOADED } from "../lab/agent/agent_process.ts";
import { runAgent } from "../lab/agent/run_agent.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { LineClient } from "../lab/clients/line_client.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

const IS_EMPTY = /^--config: ".*agent\.toml" is empty: if that is meant, write a comment into it$/;

const KEPT = "The configuration stays as it was";

Deno.test("a rotated client certificate and a changed CA hold from the next check after SIGHUP, on open connections too", async () => {
  await using before = await CertificateAuthority.create("Before");
  await using after = await CertificateAuthority.create("After");
  const first = await before.issueServer();
  const second = await after.issueServer();
  const clientOf = (authority: CertificateAuthority) => authority.issue("agent", { use: "client" });
  await using old = await startHealthBackend({ tls: { ...first, clientCa: before.caFile } });
  await using fresh = await startHealthBackend({ tls: { ...second, clientCa: after.caFile } });
  await using directory = await TempDirectory.create();
  const rotate = async (authority: CertificateAuthority) => {
    const { cert, key } = await clientOf(authority);
    await directory.write("client.pem", await Deno.readTextFile(cert));
    await directory.write("client.key", await Deno.readTextFile(key));
    await directory.write("ca.pem", await Deno.readTextFile(authority.caFile));
  };
  const files = (key: string) =>
    ["ca_file", "cert_file", "key_file"].map((name, index) =>
      `${key}${name} = "${directory.path}/${["ca.pem", "client.pem", "client.key"][index]}"\n`
    ).join("");
  await rotate(before);
  const config = await directory.write("agent.toml", `${files("tls_")}[tls.edge]\n${files("")}`);
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    using kept = await agent.connect();
    for (const option of ["", " tls=edge"]) {
      const lines = [old, fresh].map((backend) => backend.line().replace("\n", `${option}\n`));
      const [oldLine = "", freshLine = ""] = lines;
      assert.equal(await kept.ask(oldLine), "up\n");
      assert.equal(await kept.ask(freshLine), "down\n");
      await rotate(after);
      assert.equal(await kept.ask(oldLine), "up\n", "Nothing changes before SIGHUP");
      await agent.reload(RELOADED);
      assert.equal(await kept.ask(freshLine), "up\n");
      assert.equal(await agent.ask(freshLine), "up\n");
      assert.equal(await kept.ask(oldLine), "down\n");
      await rotate(before);
      await agent.reload(RELOADED);
    }
    await eventually("the channels of before to be closed", async () => {
      return (await agent.metrics()).get("grpc_channels_active") === 0;
    });
  });
});

Deno.test("a reload changes what the next answer is, on an open connection too", async () => {
  await using backend = await startHealthBackend({ services: { "": "NOT_SERVING" } });
  await using directory = await TempDirectory.create();
  const config = await directory.write("agent.toml", "# nothing yet\n");
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    using kept = await agent.connect();
    assert.equal(await kept.ask(backend.line()), "down\n");
    await directory.write("agent.toml", 'reply_reason = true\nnot_serving_reply = "drain"\n');
    const entries = await agent.reload(RELOADED);
    assert.deepEqual(entries.at(-1)?.changed, ["reply_reason", "not_serving_reply"]);
    assert.equal(await kept.ask(backend.line()), "drain #NOT_SERVING\n");
    await directory.write("agent.toml", 'allow_backends = ["10.0.0.0/8"]\n');
    await agent.reload(RELOADED);
    assert.equal(await kept.ask(backend.line()), "down\n");
    const metrics = await agent.metrics();
    assert.equal(metrics.get('check_errors_total{error_type="denied"}'), 1);
  });
});

Deno.test("a client that a reload does not allow any more is dismissed", async () => {
  await using slow = await startHealthBackend({ delayMs: 500 });
  await using directory = await TempDirectory.create();
  const config = await directory.write("agent.toml", 'allow_clients = ["127.0.0.1"]\n');
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    using idle = await agent.connect();
    assert.equal(await idle.ask("nonsense\n"), "down\n");
    using asking = await agent.connect();
    await asking.write(slow.line());
    await eventually("the check to begin", async () => (await slow.report()).calls === 1);
    await directory.write("agent.toml", 'allow_clients = ["127.0.0.2"]\n');
    await agent.reload(RELOADED);
    assert.equal(await idle.readToEnd(), "");
    assert.equal(await asking.readToEnd(), "up\n", "The answer that it was owed");
  });
});

Deno.test("checks under way over a reload are answered as they began", async () => {
  await using slow = await startHealthBackend({ delayMs: 700 });
  await withAgent({}, async (agent) => {
    const lines = Array.from({ length: 20 }, (_, index) => {
      return slow.line({ authority: `host-${index}.test` });
    });
    const answers = Promise.all(lines.map((line) => agent.ask(line)));
    await eventually("the checks to begin", async () => (await slow.report()).calls === 20);
    await agent.reload(RELOADED);
    await agent.reload(RELOADED);
    assert.deepEqual(new Set(await answers), new Set(["up\n"]));
    assert.equal((await slow.report()).calls, 20);
    assert.equal((await agent.metrics()).get('check_requests_total{result="up"}'), 20);
    assert.equal((await slow.report()).connections, 1, "A reload that changes nothing keeps it");
  });
});

Deno.test("reloads without a pause cost no check", async () => {
  await using backend = await startHealthBackend();
  await withAgent({}, async (agent) => {
    let reloading = true;
    const reloads = (async () => {
      while (reloading) await agent.reload(RELOADED);
    })();
    const clients = await Promise.all(Array.from({ length: 8 }, () => agent.connect()));
    for (let round = 0; round < 50; round++) {
      const answers = await Promise.all(clients.map((client) => client.ask(backend.line())));
      assert.deepEqual(new Set(answers), new Set(["up\n"]));
    }
    reloading = false;
    await reloads;
    for (const client of clients) client.close();
  });
});

Deno.test("a reload of a broken configuration tells each mistake and changes nothing", async (t) => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issueServer();
  await using backend = await startHealthBackend({ tls });
  await using directory = await TempDirectory.create();
  const ca = await directory.write("ca.pem", await Deno.readTextFile(authority.caFile));
  const good = `tls_ca_file = "${ca}"\nreply_reason = true\n`;
  const config = await directory.write("agent.toml", good);
  const pem = await Deno.readTextFile(authority.caFile);
  const rows: [string, () => Promise<unknown>, RegExp[]][] = [
    [
      "two wrong values",
      () => directory.write("agent.toml", `${good}max_connections = 0\nfall = "often"\n`),
      [
        /^fall \(from .*line 4\): "often" is not /,
        /^max_connections \(from .*line 3\): 0 is not /,
      ],
    ],
    ["no TOML at all", () => directory.write("agent.toml", "= = ="), [/^.*agent\.toml line 1: /]],
    ["an empty file", () => directory.write("agent.toml", ""), [IS_EMPTY]],
    ["a file of blanks", () => directory.write("agent.toml", "\ufeff \t\r\n"), [IS_EMPTY]],
    ["no file", () => Deno.remove(config), [/^--config: .* cannot be read: /]],
    ["a CA that is none", () => directory.write("ca.pem", "no certificate"), [
      /^tls_ca_file \(from .* line 1\): .* there is no PEM certificate in it$/,
    ]],
  ];
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    for (const [what, spoil, mistakes] of rows) {
      await t.step(what, async () => {
        await spoil();
        const entries = await agent.reload(KEPT);
        assert.deepEqual(entries.map(({ level }) => level), entries.map(() => "error"));
        assert.equal(entries.length, mistakes.length + 1);
        for (const [index, mistake] of mistakes.entries()) {
          assert.match(entries[index]?.message ?? "", mistake);
        }
        assert.equal(await agent.ask(backend.line()), "up\n");
        assert.match(await agent.ask("nonsense\n"), /^down #parse_error: /);
        assert.match(
          await agent.ask(backend.line({ authority: "other.test" })),
          /^down #tls: .*\n$/,
        );
        await directory.write("ca.pem", pem);
        await directory.write("agent.toml", good);
      });
    }
    await agent.reload(RELOADED);
  });
});

Deno.test("a configuration that has become a pipe holds nothing up, and changes nothing", async () => {
  await using backend = await startHealthBackend();
  await using directory = await TempDirectory.create();
  const config = await directory.write("agent.toml", "# nothing yet\n");
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    await Deno.remove(config);
    assert.ok((await new Deno.Command("mkfifo", { args: [config] }).output()).success);
    agent.signal("SIGHUP");
    const refusal = ({ message }: { message?: unknown }) => /not a regular file/.test(`${message}`);
    await agent.waitForLog("of the refusal", refusal);
    assert.equal(await agent.ask(backend.line()), "up\n");
  });
});

Deno.test("a TLS profile that a reload takes away is parse_error, and leaves the status page at once", async () => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issueServer();
  await using backend = await startHealthBackend({ tls });
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "agent.toml",
    `[tls.edge]\nca_file = "${authority.caFile}"\n`,
  );
  await withAgent({ flags: ["--config", config, "--reply-reason", "true"] }, async (agent) => {
    const line = `127.0.0.1 ${backend.port} ssl backend.test tls=edge\n`;
    assert.equal(await agent.ask(line), "up\n");
    await directory.write("agent.toml", "# Nothing\n");
    await agent.reload();
    assert.match(await agent.ask(line), /^down #parse_error: the TLS profile does not exist/);
    assert.equal((await agent.get("/")).status, 200);
    assert.deepEqual(JSON.parse((await agent.get("/api/status")).body).backends, []);
  });
});

Deno.test("an empty configuration starts an agent, which warns of it and takes it again; --check-config refuses it, and neither minds comments alone", async () => {
  await using backend = await startHealthBackend();
  await using directory = await TempDirectory.create();
  const config = await directory.write("agent.toml", "\n");
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    await agent.waitForLog("of the file", ({ level, message }) => {
      return level === "warn" && IS_EMPTY.test(message);
    });
    assert.equal(await agent.ask(backend.line()), "up\n");
    const refused = await runAgent(["--check-config", "--config", config]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr.at(-1) ?? "", / is empty: /);
    await agent.reload(RELOADED);
    await directory.write("agent.toml", "# Nothing\n");
    await agent.reload(RELOADED);
    assert.equal((await runAgent(["--check-config", "--config", config])).code, 0);
  });
});

Deno.test("a change that needs a restart is told at each reload until it is taken back, and does not hold", async () => {
  await using backend = await startHealthBackend();
  await using directory = await TempDirectory.create();
  const [port, metricsPort, otherPort] = [freePort(), freePort(), freePort()];
  const text = (serverPort: number) =>
    `server_bind_address = "127.0.0.1"\nserver_port = ${serverPort}\n` +
    `metrics_bind_address = "127.0.0.1"\nmetrics_port = ${metricsPort}\n`;
  const config = await directory.write("agent.toml", text(port));
  const options = { addressFlags: false, port, metricsPort, flags: ["--config", config] };
  await withAgent(options, async (agent) => {
    await directory.write("agent.toml", `${text(otherPort)}fall = 2\n`);
    for (let time = 0; time < 2; time++) {
      const entries = await agent.reload(RELOADED);
      assert.deepEqual(
        entries.filter(({ level }) => level === "warn").map(({ message }) => message),
        ["server_port: the change needs a restart"],
      );
      assert.deepEqual(entries.at(-1)?.changed, time === 0 ? ["fall"] : []);
      const shown = entries.at(-1)?.configuration as Record<string, unknown>;
      assert.equal(shown.server_port, port, "What is logged is what holds");
    }
    assert.equal(await agent.ask(backend.line()), "up\n");
    await assert.rejects(LineClient.open(otherPort), Deno.errors.ConnectionRefused);
    await directory.write("agent.toml", text(port));
    const entries = await agent.reload(RELOADED);
    assert.deepEqual(entries.map(({ level }) => level), ["info"]);
  });
});

// Before its first line the agent has had Deno listen for SIGHUP. While Deno begins to, a signal still ends the
// process: for microseconds, or for as long as a busy machine has it wait in between.
Deno.test("SIGHUP while the agent starts does not end it, and is heeded", async () => {
  for (let start = 0; start < 5; start++) {
    await using agent = await startAgent({ until: "nothing" });
    await agent.waitForLog("of the start", ({ message }) => message === "Starting");
    const signals = setInterval(() => agent.signal("SIGHUP"), 1);
    try {
      await agent.ready("ready");
    } finally {
      clearInterval(signals);
    }
    await agent.waitForLog("of the reload", ({ message }) => message === RELOADED);
    assert.deepEqual(agent.faults(), []);
  }
});
