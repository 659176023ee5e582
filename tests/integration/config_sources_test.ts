import assert from "node:assert/strict";
import { runAgent, toFullDisk } from "../lab/agent/run_agent.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { LineClient } from "../lab/clients/line_client.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

/** A setting in the three sources; what each says must be seen apart. */
interface Values {
  flag?: string;
  toml?: string;
  env?: string;
}

/**
 * The reply to a backend that says NOT_SERVING tells which source not_serving_reply and reply_reason came
 * from: each has three values (or two) that are answered differently.
 */
const PRECEDENCE: [string, Values, string][] = [
  ["none: the default", {}, "down\n"],
  ["the environment alone", { env: "drain" }, "drain\n"],
  ["the file alone", { toml: "maint" }, "maint\n"],
  ["the command line alone", { flag: "drain" }, "drain\n"],
  ["the file over the environment", { toml: "maint", env: "drain" }, "maint\n"],
  ["the command line over the environment", { flag: "down", env: "drain" }, "down\n"],
  ["the command line over the file", { flag: "down", toml: "maint" }, "down\n"],
  ["the command line over both", { flag: "down", toml: "maint", env: "drain" }, "down\n"],
];

Deno.test("the command line beats the file, the file the environment, that the default", async (t) => {
  await using backend = await startHealthBackend({ services: { "": "NOT_SERVING" } });
  await using directory = await TempDirectory.create();
  for (const [name, { flag, toml, env }, reply] of PRECEDENCE) {
    await t.step(name, async () => {
      const file = await directory.write(
        "agent.toml",
        toml === undefined ? "" : `not_serving_reply = "${toml}"\n`,
      );
      const options = {
        flags: ["--config", file, ...flag === undefined ? [] : ["--not-serving-reply", flag]],
        env: env === undefined ? {} : { HAPROXY_AGENT_NOT_SERVING_REPLY: env },
      };
      await withAgent(options, async (agent) => {
        assert.equal(await agent.ask(backend.line()), reply);
      });
    });
  }
});

Deno.test("each setting is taken from its own strongest source", async () => {
  await using backend = await startHealthBackend({ services: { "": "NOT_SERVING" } });
  await using directory = await TempDirectory.create();
  const [port, metricsPort, other] = [freePort(), freePort(), freePort()];
  const file = await directory.write(
    "agent.toml",
    `server_port = ${port}\nmetrics_port = ${other}\nnot_serving_reply = "maint"\n`,
  );
  const options = {
    addressFlags: false,
    port,
    metricsPort,
    flags: ["-c", file, "--metrics-port", `${metricsPort}`],
    env: {
      HAPROXY_AGENT_SERVER_BIND: "127.0.0.1",
      HAPROXY_AGENT_METRICS_BIND: "127.0.0.1",
      HAPROXY_AGENT_SERVER_PORT: `${other}`,
      HAPROXY_AGENT_REPLY_REASON: "TRUE",
    },
  };
  await withAgent(options, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "maint #NOT_SERVING\n");
    await assert.rejects(LineClient.open(other), Deno.errors.ConnectionRefused);
  });
});

Deno.test("a wrong configuration ends with 1, all mistakes on a line each, before a socket opens", async (t) => {
  await using directory = await TempDirectory.create();
  const port = freePort();
  // Whoever tries to listen here fails, and says so.
  using _taken = Deno.listen({ hostname: "127.0.0.1", port });
  const file = await directory.write(
    "agent.toml",
    `max_channels = 0
srver_port = 1
[tls.edge]
ca_file = "${directory.path}/none.pem"
[metadata]
authorization = "env:NO_SUCH_TOKEN"
`,
  );
  const expected = [
    /: srver_port \(from .*agent\.toml line 2\): unknown key \(did you mean server_port\?\)$/,
    /: check_timeout_ms \(from HAPROXY_AGENT_CHECK_TIMEOUT\): "soon" is not a whole number from 1 to 60000$/,
    /: max_channels \(from .*agent\.toml line 1\): 0 is not a whole number, 1 or more$/,
    /: rise \(from --rise\): "0" is not a whole number from 1 to 100$/,
    /: tls\.edge\.ca_file \(from .* line \d+\): ".*none\.pem" cannot be used: No such file/,
    /: metadata\.authorization \(from .*agent\.toml line 6\): the variable NO_SUCH_TOKEN is not set$/,
    /: allow_backends \(from HAPROXY_AGENT_ALLOW_BACKENDS\): "10\.0\.0\.1\/8" has bits set after the prefix/,
  ];
  const flags = ["--config", file, "--server-port", `${port}`, "--rise", "0"];
  const env = {
    HAPROXY_AGENT_CHECK_TIMEOUT: "soon",
    HAPROXY_AGENT_ALLOW_BACKENDS: "10.0.0.1/8",
  };
  for (
    const [what, args, code] of [
      ["the agent", flags, 1],
      ["--check-config", [...flags, "--check-config"], 1],
      ["check, where 1 means down", [...flags, "check", "127.0.0.1", "1", "no-ssl", "a.test"], 2],
    ] as const
  ) {
    await t.step(what, async () => {
      const run = await runAgent([...args], env);
      assert.equal(run.code, code);
      assert.deepEqual(run.stdout, []);
      assert.equal(run.stderr.length, expected.length, run.stderr.join("\n"));
      for (const mistake of expected) {
        assert.ok(run.stderr.some((line) => mistake.test(line)), `${mistake}`);
      }
    });
  }
});

Deno.test("a wrong command line ends with 2, all mistakes on a line each", async () => {
  const run = await runAgent(["--server-prt", "1", "--log-level", "serve", "--json"]);
  assert.equal(run.code, 2);
  assert.deepEqual(run.stdout, []);
  assert.deepEqual(run.stderr, [
    "haproxy-grpc-agent: --server-prt: unknown flag (did you mean --server-port?)",
    "haproxy-grpc-agent: 1: unexpected argument",
    "haproxy-grpc-agent: --json: only with check",
    "haproxy-grpc-agent: see --help",
  ]);
});

Deno.test("a --config that cannot be read ends with 1 and one line", async (t) => {
  await using directory = await TempDirectory.create();
  for (
    const [what, path, reason] of [
      ["a file that is not there", `${directory.path}/none.toml`, /No such file/],
      ["a directory", directory.path, /not a regular file/],
      ["an empty path", "", /.*/],
      [
        "the standard input",
        "/dev/stdin",
        /Deno's permissions allow no file of|not a regular file/,
      ],
      ["no TOML", await directory.write("bad.toml", "a = \n"), /bad\.toml line 1: /],
    ] as const
  ) {
    await t.step(what, async () => {
      const run = await runAgent(["--config", path]);
      assert.equal(run.code, 1);
      assert.equal(run.stderr.length, 1, run.stderr.join("\n"));
      assert.match(run.stderr[0] ?? "", reason);
    });
  }
});

Deno.test("--help and --version answer on stdout and end with 0, whatever the environment says", async () => {
  const env = { HAPROXY_AGENT_SERVER_PORT: "nonsense" };
  for (const flag of ["--help", "-h"]) {
    const { code, stdout, stderr } = await runAgent([flag], env);
    assert.equal(code, 0);
    assert.deepEqual(stderr, []);
    const text = stdout.join("\n");
    for (const part of ["Usage:", "--server-port PORT", "--config FILE", "[5555]", "check <"]) {
      assert.ok(text.includes(part), part);
    }
  }
  for (const flag of ["--version", "-V"]) {
    const { code, stdout, stderr } = await runAgent([flag], env);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: [] });
    assert.equal(stdout.length, 1);
    assert.match(stdout[0] ?? "", /^haproxy-grpc-agent \d+\.\d+\.\d+$/);
  }
});

Deno.test("--help, --version and --check-config end with 1 and one line where stdout cannot be written", async () => {
  for (const flag of ["--help", "--version", "--check-config"]) {
    const run = await runAgent([flag, "--server-bind", "127.0.0.1"], {}, toFullDisk(">"));
    assert.equal(run.code, 1, flag);
    assert.equal(run.stderr.length, 1, run.stderr.join("\n"));
    assert.match(run.stderr[0] ?? "", /: stdout cannot be written: No space left on device/);
  }
});

Deno.test("what --check-config prints is a file that starts the same agent, without the secrets", async () => {
  await using backend = await startHealthBackend({ services: { "": "NOT_SERVING" } });
  await using directory = await TempDirectory.create();
  const [port, metricsPort] = [freePort(), freePort()];
  const file = await directory.write(
    "agent.toml",
    `server_bind_address = ["127.0.0.1"]
not_serving_reply = "drain"
allow_clients = ["127.0.0.0/8"]
allow_backends = ["127.0.0.0/8:1-65535", "*.svc.cluster.local"]
[logging]
level = "debug"
file_path = "/tmp/agent.log"
file_max_files = 7
[logging.packages]
"haproxy_grpc_agent::server" = "trace"
[tls.edge]
server_name = "api.test"
insecure_skip_verify = true
[tls.public]
[metadata]
x-plain = "plain-s3cret"
"x.dotted" = "env:TOKEN"
`,
  );
  const args = ["--config", file, "--server-port", `${port}`, "--metrics-port", `${metricsPort}`];
  const env = {
    TOKEN: "token-s3cret",
    HAPROXY_AGENT_REPLY_REASON: "true",
    HAPROXY_AGENT_METRICS_BIND: "127.0.0.1",
  };
  const first = await runAgent([...args, "--check-config"], env);
  assert.equal(first.code, 0, first.stderr.join("\n"));
  assert.match(first.stderr.join("\n"), /tls\.edge\.insecure_skip_verify/, "Warnings are told");
  assert.doesNotMatch([...first.stdout, ...first.stderr].join("\n"), /s3cret/);

  const printed = await directory.write("printed.toml", `${first.stdout.join("\n")}\n`);
  const second = await runAgent(["--config", printed, "--check-config"]);
  assert.equal(second.code, 0, second.stderr.join("\n"));
  assert.deepEqual(second.stdout, first.stdout, "Printing is idempotent");

  const options = { addressFlags: false, port, metricsPort, flags: ["--config", printed] };
  await withAgent(options, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "drain #NOT_SERVING\n");
    assert.equal(await agent.ask("10.0.0.1 1 no-ssl a.test\n"), "down #denied\n");
  });
});

Deno.test("every default that --check-config prints starts an agent too", async () => {
  await using directory = await TempDirectory.create();
  const { code, stdout } = await runAgent(["--check-config"]);
  assert.equal(code, 0);
  const printed = await directory.write("printed.toml", `${stdout.join("\n")}\n`);
  const again = await runAgent(["--config", printed, "--check-config"]);
  assert.deepEqual(again.stdout, stdout);
});

Deno.test("a variable that nobody knows is a warning, not a mistake", async () => {
  const env = { HAPROXY_AGENT_CHECK_MODE: "watch", HAPROXY_AGENT_SERVER_PROT: "1" };
  await withAgent({ env }, async (agent) => {
    for (
      const text of [
        "HAPROXY_AGENT_CHECK_MODE: unknown variable",
        "HAPROXY_AGENT_SERVER_PROT: unknown variable (did you mean HAPROXY_AGENT_SERVER_PORT?)",
      ]
    ) {
      const entry = await agent.waitForLog(text, ({ message }) => message === text);
      assert.equal(entry.level, "warn");
    }
  });
});

Deno.test("an empty variable is a warning, and blanks around a value are nothing", async () => {
  const env = {
    HAPROXY_AGENT_TLS_CA_FILE: "",
    HAPROXY_AGENT_LOG_LEVEL: "",
    HAPROXY_AGENT_CHECK_TIMEOUT: "1500 ",
  };
  await withAgent({ env }, async (agent) => {
    for (const name of ["HAPROXY_AGENT_TLS_CA_FILE", "HAPROXY_AGENT_LOG_LEVEL"]) {
      const text = `${name}: empty, which counts as not set`;
      const entry = await agent.waitForLog(text, ({ message }) => message === text);
      assert.equal(entry.level, "warn");
    }
    assert.equal(agent.logs.filter(({ level }) => level === "warn").length, 2);
  });
});

Deno.test("a variable of the agent that is not UTF-8 is a mistake, not ignored", async () => {
  const script = `export HAPROXY_AGENT_ALLOW_CLIENTS="$(printf '10.0.0.1\\377')"; exec "$@"`;
  const run = await runAgent(["--check-config"], {}, ["sh", "-c", script, "sh"]);
  assert.equal(run.code, 1);
  assert.deepEqual(run.stderr, [
    "haproxy-grpc-agent: allow_clients (from HAPROXY_AGENT_ALLOW_CLIENTS): the value is not UTF-8",
  ]);
});

Deno.test("the links of Kubernetes Services called like the agent's variables are warned of, and the file counts", async () => {
  await using directory = await TempDirectory.create();
  const [port, metricsPort] = [freePort(), freePort()];
  const file = await directory.write(
    "agent.toml",
    `server_bind_address = "127.0.0.1"\nserver_port = ${port}\nmetrics_bind_address = "127.0.0.1"\n`,
  );
  const env = {
    HAPROXY_AGENT_METRICS_SERVICE_HOST: "10.96.12.34",
    HAPROXY_AGENT_METRICS_PORT: "tcp://10.96.12.34:9090",
    HAPROXY_AGENT_METRICS_PORT_9090_TCP_ADDR: "10.96.12.34",
    HAPROXY_AGENT_SERVER_PORT: "tcp://[fd00::1]:5555",
  };
  const flags = ["--config", file, "--metrics-port", `${metricsPort}`];
  await withAgent({ addressFlags: false, port, metricsPort, flags, env }, async (agent) => {
    const { message } = await agent.waitForLog(
      "of the links",
      ({ level, message }) => level === "warn" && message.includes("haproxy-agent-metrics"),
    );
    assert.match(message, /^HAPROXY_AGENT_METRICS_PORT, .*left out, Kubernetes has set them/);
    assert.equal(agent.logs.filter(({ level }) => level === "warn").length, 2);
    assert.equal(await agent.ask("nonsense\n"), "down\n");
  });
});
