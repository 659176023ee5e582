import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { grpcBackend, server } from "../lab/haproxy/configuration.ts";
import { testWithEachHaproxy } from "../lab/haproxy/test_with_haproxy.ts";

testWithEachHaproxy("service=NAME gives each server the status of its service", async (start) => {
  await using backend = await startHealthBackend({
    services: { "": "SERVING", "orders.v1.Orders": "SERVING", "stock.v1.Stock": "NOT_SERVING" },
  });
  await using agent = await startAgent();
  const ofService = (name: string, service: string) =>
    server(name, backend.port, backend.line({ service }));
  await using haproxy = await start(grpcBackend(
    agent.port,
    ofService("orders", "orders.v1.Orders"),
    ofService("stock", "stock.v1.Stock"),
    ofService("unknown", "nobody.v1.Knows"),
  ));
  await haproxy.waitFor("grpc", "orders", { up: true, agentStatus: "L7OK" });
  await haproxy.waitFor("grpc", "stock", { up: false, agentStatus: "L7STS" });
  await haproxy.waitFor("grpc", "unknown", { up: false, agentStatus: "L7STS" });

  await backend.setStatus("orders.v1.Orders", "NOT_SERVING");
  await backend.setStatus("stock.v1.Stock", "SERVING");
  await haproxy.waitFor("grpc", "orders", { up: false, agentStatus: "L7STS" });
  await haproxy.waitFor("grpc", "stock", { up: true, agentStatus: "L7OK" });
  assert.deepEqual(agent.faults(), []);
});

testWithEachHaproxy("a TLS backend is UP only under its certificate's name", async (start) => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issue("backend", { names: ["backend.test"] });
  await using backend = await startHealthBackend({ tls });
  await using agent = await startAgent({ flags: ["--tls-ca-file", authority.caFile] });
  await using haproxy = await start(grpcBackend(
    agent.port,
    server("right", backend.port, backend.line({ authority: "backend.test" })),
    server("wrong", backend.port, backend.line({ authority: "other.test" })),
    server("plain", backend.port, backend.line({ ssl: false, authority: "backend.test" })),
  ));
  await haproxy.waitFor("grpc", "wrong", { up: false, agentStatus: "L7STS" });
  await haproxy.waitFor("grpc", "plain", { up: false, agentStatus: "L7STS" });
  await haproxy.waitFor("grpc", "right", { up: true, agentStatus: "L7OK" });

  await backend.setStatus("", "NOT_SERVING");
  await haproxy.waitFor("grpc", "right", { up: false, agentStatus: "L7STS" });
  await backend.setStatus("", "SERVING");
  await haproxy.waitFor("grpc", "right", { up: true, agentStatus: "L7OK" });
});

testWithEachHaproxy(
  "a request line set at run time is answered, though it cannot end in a newline",
  async (startHaproxy) => {
    await using good = await startHealthBackend();
    await using bad = await startHealthBackend({ services: { "": "NOT_SERVING" } });
    await using agent = await startAgent();
    await using haproxy = await startHaproxy(
      grpcBackend(agent.port, server("one", good.port, good.line())),
    );
    await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });

    const ask = async (line: string) => {
      const escaped = line.trimEnd().replaceAll(" ", "\\ ");
      assert.equal(await haproxy.runtime(`set server grpc/one agent-send ${escaped}`), "");
    };
    await ask(bad.line());
    await haproxy.waitFor("grpc", "one", { up: false, agentStatus: "L7STS" });
    await ask(good.line());
    await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
    assert.deepEqual(agent.faults(), []);
  },
);

testWithEachHaproxy(
  "a request line that the agent refuses takes the server DOWN",
  async (start) => {
    await using backend = await startHealthBackend();
    await using agent = await startAgent();
    await using haproxy = await start(
      grpcBackend(agent.port, server("one", backend.port, `127.0.0.1 ${backend.port} tls\n`)),
    );
    await haproxy.waitFor("grpc", "one", { up: false, agentStatus: "L7STS" });
    await agent.waitForLog("about the line", ({ level }) => level === "warn");
  },
);
