import assert from "node:assert/strict";
import { checkJson, runAgent, toFullDisk } from "../lab/agent/run_agent.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../lab/backends/libraries/health_backend.ts";
import { PeerServer } from "../lab/backends/peers/peer_server.ts";
import { refusing } from "../lab/backends/peers/tcp_peers.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

/** The fields of a backend's line, as arguments. */
function fields(backend: HealthBackend, ...options: string[]): string[] {
  return [...backend.line().trim().split(" "), ...options];
}

Deno.test("check prints the backend, the verdict, the time of each step and the reply", async () => {
  await using backend = await startHealthBackend({
    services: { "a.B": "NOT_SERVING", "": "SERVING" },
  });
  const up = await runAgent(["check", ...fields(backend)]);
  assert.deepEqual({ code: up.code, stderr: up.stderr }, { code: 0, stderr: [] });
  const [first, second, third, fourth, fifth] = up.stdout;
  assert.equal(first, `backend   ${backend.address} no-ssl backend.test`);
  assert.equal(second, "service   (the server as a whole)");
  assert.equal(third, "verdict   serving");
  const ms = String.raw`\d+(\.\d+)? ms`;
  assert.match(
    fourth ?? "",
    new RegExp(
      `^timings   resolve ${ms}, connect ${ms}, RPC ${ms}, whole check ${ms}$`,
    ),
  );
  assert.equal(fifth, "reply     up");
  assert.equal(up.stdout.length, 5);

  const down = await runAgent(["check", ...fields(backend, "service=a.B"), "--reply-reason"]);
  assert.equal(down.code, 1);
  assert.equal(down.stdout[1], "service   a.B");
  assert.equal(down.stdout[2], "verdict   not_serving: NOT_SERVING");
  assert.equal(down.stdout[4], "reply     down #NOT_SERVING");
});

Deno.test("check --json prints the same for machines", async () => {
  await using backend = await startHealthBackend({ delayMs: 200 });
  const { timings_ms: timings, duration_ms: duration, ...rest } = await checkJson(fields(backend));
  assert.deepEqual(rest, {
    code: 0,
    backend: backend.address,
    ssl_flag: "no-ssl",
    authority: "backend.test",
    service: "",
    verdict: "serving",
    detail: "",
    reply: "up",
  });
  assert.deepEqual(Object.keys(timings), ["resolve", "connect", "rpc"]);
  assert.ok((timings.rpc ?? 0) >= 190, "The RPC has its delay");
  const sum = Object.values(timings).reduce((a, b) => a + b);
  assert.ok(sum <= duration + 1, `${sum} of ${duration} ms`);
});

Deno.test("check says 1 for each kind of down, and which it is", async (t) => {
  await using slow = await startHealthBackend({ delayMs: 2000 });
  await using known = await startHealthBackend();
  const dead = refusing();
  const refused = ["127.0.0.1", `${dead.port}`, "no-ssl", "a.test"];
  const unknown = ["no-such-host.invalid", "1", "no-ssl", "a.test"];
  const rows: [what: string, args: string[], verdict: string, detail: RegExp, last: string][] = [
    ["refused", refused, "unreachable", /ECONNREFUSED/, "connect"],
    ["late", fields(slow, "timeout=200"), "timeout", /200 ms/, "rpc"],
    ["an unknown service", fields(known, "service=no.Such"), "rpc", /^NOT_FOUND/, "rpc"],
    ["an unknown name", unknown, "dns", /ENOTFOUND|EAI_AGAIN/, "resolve"],
  ];
  for (const [what, args, verdict, detail, last] of rows) {
    await t.step(what, async () => {
      const printed = await checkJson(args);
      assert.equal(printed.code, 1);
      assert.equal(printed.verdict, verdict);
      assert.match(printed.detail, detail);
      assert.equal(printed.reply, "down");
      assert.equal(Object.keys(printed.timings_ms).at(-1), last, "The step that failed is timed");
    });
  }
});

Deno.test("check takes the TLS profile of the line from the configuration", async (t) => {
  await using authority = await CertificateAuthority.create();
  const server = await authority.issueServer();
  const client = await authority.issue("agent", { use: "client" });
  const tls = { ...server, clientCa: authority.caFile };
  await using backend = await startHealthBackend({ tls });
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "agent.toml",
    `[tls.edge]\nca_file = "${authority.caFile}"\ncert_file = "${client.cert}"\nkey_file = "${client.key}"\n`,
  );
  await t.step("with it the backend is up, and the handshake has its time", async () => {
    const printed = await checkJson([...fields(backend, "tls=edge"), "--config", config]);
    assert.equal(printed.code, 0);
    assert.deepEqual(Object.keys(printed.timings_ms), [
      "resolve",
      "connect",
      "tls",
      "rpc",
    ]);
  });
  await t.step("without it the certificate is not trusted", async () => {
    const printed = await checkJson([...fields(backend), "--config", config]);
    assert.equal(printed.code, 1);
    assert.equal(printed.verdict, "tls");
    assert.match(printed.detail, /not trusted/);
  });
  await t.step("a profile that does not exist is wrong usage", async () => {
    const run = await runAgent(["check", ...fields(backend, "tls=other"), "--config", config]);
    assert.equal(run.code, 2);
    assert.deepEqual(run.stderr, ["haproxy-grpc-agent: check: the TLS profile does not exist"]);
  });
});

Deno.test("check of a target that is not allowed is down without a packet to it", async () => {
  await using peer = new PeerServer(() => {});
  const printed = await checkJson(["127.0.0.1", `${peer.port}`, "no-ssl", "a.test"], {
    HAPROXY_AGENT_ALLOW_BACKENDS: "10.0.0.0/8",
  });
  assert.equal(printed.code, 1);
  assert.equal(printed.verdict, "denied");
  assert.equal(printed.reply, "down");
  assert.equal(peer.connections, 0);
});

Deno.test("check whose output cannot be written says so, and its exit code holds", async (t) => {
  await using backend = await startHealthBackend();
  const down = ["127.0.0.1", "1", "no-ssl", "a.test"];
  for (
    const [what, args, code] of [
      ["up", fields(backend), 0],
      ["up, for machines", ["--json", ...fields(backend)], 0],
      ["down", down, 1],
    ] as const
  ) {
    await t.step(what, async () => {
      const run = await runAgent(["check", ...args], {}, toFullDisk(">"));
      assert.equal(run.code, code);
      assert.equal(run.stderr.length, 1, run.stderr.join("\n"));
      assert.match(run.stderr[0] ?? "", /: stdout cannot be written: No space left on device/);
    });
  }
  await t.step("wrong usage, with stderr full", async () => {
    assert.equal((await runAgent(["check"], {}, toFullDisk("2>"))).code, 2);
  });
});

Deno.test("check with a wrong line is wrong usage: 2, one line, nothing on stdout", async (t) => {
  for (
    const [args, reason] of [
      [[], "check: the line is empty"],
      [["127.0.0.1", "1", "no-ssl"], "check: expected 4 fields: "],
      [["127.0.0.1", "0", "no-ssl", "a.test"], "check: backend_port must be "],
      [["unix:/tmp/x", "1", "no-ssl", "a.test"], "check: backend_server must be "],
      [["127.0.0.1", "1", "no-ssl", "a.test", "serivce=x"], "check: an option is unknown"],
    ] as const
  ) {
    await t.step(reason, async () => {
      const { code, stdout, stderr } = await runAgent(["check", ...args]);
      assert.deepEqual({ code, stdout, lines: stderr.length }, { code: 2, stdout: [], lines: 1 });
      assert.equal(stderr[0]?.startsWith(`haproxy-grpc-agent: ${reason}`), true, `${stderr[0]}`);
    });
  }
});
