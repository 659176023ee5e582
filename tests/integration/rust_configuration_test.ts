// What the README of the Rust agent shows must start this one as it stands, but for the ports. Keys, names
// and values are those of that README.

import assert from "node:assert/strict";
import { freePort } from "../lab/free_port.ts";
import { startHealthBackend } from "../lab/health_backend.ts";
import { TempDirectory } from "../lab/temp_directory.ts";
import { withAgent } from "../lab/with_agent.ts";

Deno.test("the Rust agent's TOML file", async () => {
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

Deno.test("the Rust agent's environment", async () => {
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

Deno.test("the Rust agent's flags", async () => {
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
