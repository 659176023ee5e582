import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { AGENT_INTER_MS, grpcBackend, server } from "../lab/haproxy/configuration.ts";
import { testWithEachHaproxy } from "../lab/haproxy/test_with_haproxy.ts";

testWithEachHaproxy("good answers leave an operator's maintenance alone", async (startHaproxy) => {
  await using backend = await startHealthBackend();
  await using agent = await startAgent();
  await using haproxy = await startHaproxy(
    grpcBackend(agent.port, server("one", backend.port, backend.line())),
  );
  await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
  await haproxy.runtime("set server grpc/one state maint");
  await haproxy.stays("grpc", "one", { status: "MAINT" }, 3 * AGENT_INTER_MS);
  await haproxy.runtime("set server grpc/one state ready");
  await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
});

testWithEachHaproxy("an operator can put a server back whatever the agent says", async (start) => {
  await using backend = await startHealthBackend({ services: { "": "NOT_SERVING" } });
  await using agent = await startAgent();
  await using haproxy = await start(
    grpcBackend(agent.port, server("one", backend.port, backend.line())),
  );
  await haproxy.waitFor("grpc", "one", { up: false, agentStatus: "L7STS" });
  // As docs/operations.md tells it.
  await haproxy.runtime("set server grpc/one agent up; disable agent grpc/one");
  await haproxy.waitFor("grpc", "one", { up: true });
  await haproxy.stays("grpc", "one", { up: true }, 3 * AGENT_INTER_MS);
  await haproxy.runtime("enable agent grpc/one");
  await haproxy.waitFor("grpc", "one", { up: false, agentStatus: "L7STS" });
});

testWithEachHaproxy("so too where HAProxy's own check asks the agent", async (start) => {
  await using backend = await startHealthBackend({ services: { "": "NOT_SERVING" } });
  await using agent = await startAgent();
  await using haproxy = await start(`defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s

backend grpc
  option tcp-check
  tcp-check connect addr 127.0.0.1 port ${agent.port}
  tcp-check send "${backend.line().replace("\n", "\\n")}"
  tcp-check expect min-recv 3 rstring "^up" error-status L7STS
  server one 127.0.0.1:${backend.port} check inter ${AGENT_INTER_MS}ms fall 1
`);
  await haproxy.waitFor("grpc", "one", { status: "DOWN" });
  assert.match(await haproxy.runtime("show servers conn grpc"), /^grpc\/one /m);
  // As docs/operations.md tells it.
  await haproxy.runtime("disable health grpc/one; set server grpc/one health up");
  await haproxy.waitFor("grpc", "one", { up: true });
  await haproxy.stays("grpc", "one", { up: true }, 3 * AGENT_INTER_MS);
  await haproxy.runtime("enable health grpc/one");
  await haproxy.waitFor("grpc", "one", { status: "DOWN" });
});
