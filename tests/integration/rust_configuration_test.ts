// What the README of the Rust agent shows must do with this one as it stands, but for ports and folders:
// keys, names, values and lines are those of that README. Its HAProxy configuration: tests/haproxy.

import assert from "node:assert/strict";
import { entriesOf } from "../lab/agent/log_file.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { testWithOwnNames } from "../lab/machine/own_names.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

Deno.test("the Rust agent's TOML file configures the agent", async () => {
  await using backend = await startHealthBackend();
  await using directory = await TempDirectory.create();
  const [port, metricsPort] = [freePort(), freePort()];
  const config = await directory.write(
    "config.toml",
    `server_bind_address = "0.0.0.0"
server_port = ${port}
metrics_port = ${metricsPort}
log_level = "info"
log_format = "json"
grpc_connect_timeout_ms = 1000
grpc_rpc_timeout_ms = 1500

[logging]
destination = "console"       # "console" or "file"
level = "debug"             # overrides top-level log_level
format = "json"           # overrides top-level log_format

[logging.packages]
haproxy_grpc_agent = "info"
"haproxy_grpc_agent::server" = "trace"
tonic = "warn"
`,
  );
  const options = { addressFlags: false, port, metricsPort, flags: ["--config", config] };
  await withAgent(options, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    assert.equal((await agent.metrics()).get('check_requests_total{result="up"}'), 1);
    await agent.waitForLog("of the connection, at the server's own level", (entry) => {
      return entry.component === "server" && entry.level === "debug";
    });
  });
});

Deno.test("the Rust agent's environment configures the agent", async () => {
  await using backend = await startHealthBackend({ delayMs: 700 });
  await using quick = await startHealthBackend();
  const [port, metricsPort] = [freePort(), freePort()];
  const options = {
    addressFlags: false,
    port,
    metricsPort,
    env: {
      HAPROXY_AGENT_SERVER_PORT: `${port}`,
      HAPROXY_AGENT_SERVER_BIND: "0.0.0.0",
      HAPROXY_AGENT_METRICS_PORT: `${metricsPort}`,
      HAPROXY_AGENT_METRICS_BIND: "0.0.0.0",
      HAPROXY_AGENT_LOG_LEVEL: "warn",
      HAPROXY_AGENT_LOG_FORMAT: "json",
      HAPROXY_AGENT_LOG_DESTINATION: "console",
      HAPROXY_AGENT_LOG_FILE_ROTATION: "daily",
      HAPROXY_AGENT_LOG_FILE_MAX_FILES: "7",
      HAPROXY_AGENT_GRPC_CONNECT_TIMEOUT: "1000",
      HAPROXY_AGENT_GRPC_RPC_TIMEOUT: "500",
      HAPROXY_AGENT_GRPC_CHANNEL_CACHE: "false",
    },
  };
  await withAgent(options, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "down\n", "The RPC has 500 ms");
    for (let check = 0; check < 3; check++) assert.equal(await agent.ask(quick.line()), "up\n");
    assert.equal((await quick.report()).connections, 3, "No channel is kept");
    assert.deepEqual(agent.logs.filter(({ level }) => level === "info"), []);
  });
});

Deno.test("the Rust agent's flags configure the agent", async () => {
  await using backend = await startHealthBackend();
  await using directory = await TempDirectory.create();
  const config = await directory.write("config.toml", 'log_format = "pretty"\n');
  const [port, metricsPort] = [freePort(), freePort()];
  const flags = [
    ...["-c", config, "--server-port", `${port}`, "--server-bind", "127.0.0.1"],
    ...["--metrics-port", `${metricsPort}`, "--metrics-bind", "127.0.0.1"],
    ...["--log-level", "info", "--log-format", "json", "--log-destination", "console"],
    ...["--log-file-rotation", "daily", "--log-file-max-files", "7"],
    ...["--grpc-connect-timeout", "1000", "--grpc-rpc-timeout", "1500", "--grpc-channel-cache"],
  ];
  await withAgent({ addressFlags: false, port, metricsPort, flags }, async (agent) => {
    for (let check = 0; check < 3; check++) assert.equal(await agent.ask(backend.line()), "up\n");
    assert.equal((await backend.report()).connections, 1, "The channel is kept");
  });
});

Deno.test("the Rust agent's TOML for a log file with daily rotation has the agent write that file", async () => {
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "config.toml",
    `[logging]
destination = "file"
file_path = "${directory.path}/agent.log"
file_rotation = "daily"
file_max_files = 7
`,
  );
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    assert.equal(await agent.ask("nonsense\n"), "down\n");
    await eventually("the line in the file of the day", async () => {
      const [file] = [...Deno.readDirSync(directory.path)]
        .filter(({ name }) => /^agent\.log\.\d{4}-\d\d-\d\d$/.test(name));
      if (file === undefined) return false;
      const entries = await entriesOf(`${directory.path}/${file.name}`);
      return entries.some(({ message }) => message === "Invalid line");
    });
    assert.deepEqual(agent.stderr, []);
  });
});

Deno.test("the Rust agent's TOML for levels of packages sets levels, and the unknown ones are warned of", async () => {
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "config.toml",
    `log_level = "warn"

[logging]
level = "info"

[logging.packages]
haproxy_grpc_agent = "debug"
tonic = "warn"
`,
  );
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    await agent.ask("nonsense\n");
    await agent.waitForLog("of the connection", ({ level }) => level === "debug");
    await agent.waitForLog(
      "about a package that is not here",
      ({ level, message }) => level === "warn" && message.includes("tonic"),
    );
  });
});

const DEPLOYMENTS: Record<string, Record<string, string>> = {
  "Docker Compose": {
    HAPROXY_AGENT_LOG_LEVEL: "info",
    HAPROXY_AGENT_LOG_FORMAT: "json",
    HAPROXY_AGENT_GRPC_CONNECT_TIMEOUT: "1000",
    HAPROXY_AGENT_GRPC_RPC_TIMEOUT: "1500",
  },
  // With what Kubernetes adds for the Service of the example.
  Kubernetes: {
    HAPROXY_AGENT_LOG_LEVEL: "info",
    HAPROXY_GRPC_AGENT_SERVICE_HOST: "10.96.0.7",
    HAPROXY_GRPC_AGENT_SERVICE_PORT_METRICS: "9090",
    HAPROXY_GRPC_AGENT_PORT: "tcp://10.96.0.7:5555",
  },
};

for (const [name, env] of Object.entries(DEPLOYMENTS)) {
  Deno.test(`the Rust agent's environment for ${name} starts the agent without a warning, with its metrics`, async () => {
    await using backend = await startHealthBackend();
    await withAgent({ env }, async (agent) => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      const metrics = await agent.metrics();
      for (
        const sample of [
          'check_requests_total{result="up"}',
          'check_errors_total{error_type="timeout"}',
          "check_duration_seconds_count",
          "haproxy_connections_active",
          "grpc_channels_active",
        ]
      ) assert.ok(metrics.has(sample), sample);
      const isAboutNames = ({ component }: { component: string }) => component === "config";
      assert.deepEqual(agent.logs.filter(isAboutNames), []);
    });
  });
}

testWithOwnNames("the Rust agent's request lines are answered, those with ssl too", {
  "myservice.default.svc.cluster.local": ["127.0.0.1"],
  "myservice.example.com": ["127.0.0.1"],
}, async (wrapper) => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issue("backend", { names: ["myservice.example.com"] });
  await using plain = await startHealthBackend();
  await using secure = await startHealthBackend({ tls });
  await withAgent({ wrapper, flags: ["--tls-ca-file", authority.caFile] }, async (agent) => {
    const inCluster = "myservice.default.svc.cluster.local 50051 no-ssl " +
      "myservice.default.svc.cluster.local\n";
    const withTls = "myservice.example.com 50051 ssl myservice.example.com\n";
    assert.equal(await agent.ask(inCluster.replace("50051", `${plain.port}`)), "up\n");
    assert.equal(await agent.ask(withTls.replace("50051", `${secure.port}`)), "up\n");
  });
});
