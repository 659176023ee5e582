import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { LineClient } from "../lab/clients/line_client.ts";
import { grpcBackend, server } from "../lab/haproxy/configuration.ts";
import type { ServerRow } from "../lab/haproxy/haproxy.ts";
import { testWithEachHaproxy } from "../lab/haproxy/test_with_haproxy.ts";
import { freePort } from "../lab/machine/free_port.ts";

for (const reply of ["drain", "maint"] as const) {
  testWithEachHaproxy(
    `not_serving_reply = ${reply} keeps sessions, takes no new ones, and ends with SERVING`,
    async (startHaproxy) => {
      await using backend = await startHealthBackend();
      await using agent = await startAgent({ flags: ["--not-serving-reply", reply] });
      using service = echoService();
      const traffic = freePort();
      const configuration = grpcBackend(agent.port, server("one", service.port, backend.line()))
        .replace("mode http", "mode tcp")
        .replace("proto h2 ", "")
        .replaceAll("timeout client 5s", "timeout client 30s")
        .replaceAll("timeout server 5s", "timeout server 30s");
      await using haproxy = await startHaproxy(
        `${configuration}
frontend traffic
  bind 127.0.0.1:${traffic}
  default_backend grpc
`,
      );
      await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
      using session = await LineClient.open(traffic);
      await session.write("before\n");
      assert.equal(await session.readLine(), "before\n");

      await backend.setStatus("", "NOT_SERVING");
      const isOut = ({ status }: ServerRow) => status.startsWith(reply.toUpperCase());
      await haproxy.waitFor("grpc", "one", isOut);
      await session.write("meanwhile\n");
      assert.equal(await session.readLine(), "meanwhile\n");
      using refused = await LineClient.open(traffic);
      await refused.write("too late\n").catch(() => {});
      assert.equal(await refused.readLine().catch(() => ""), "");

      await backend.setStatus("", "SERVING");
      await haproxy.waitFor("grpc", "one", { up: true, agentStatus: "L7OK" });
      using next = await LineClient.open(traffic);
      for (const client of [session, next]) {
        await client.write("after\n");
        assert.equal(await client.readLine(), "after\n");
      }
    },
  );
}

/** A TCP service that sends back what comes. */
function echoService(): Disposable & { readonly port: number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections = new Set<Deno.Conn>();
  (async () => {
    for await (const connection of listener) {
      connections.add(connection);
      connection.readable.pipeTo(connection.writable).catch(() => {});
    }
  })();
  return {
    port: listener.addr.port,
    [Symbol.dispose]() {
      listener.close();
      for (const connection of connections) {
        try {
          connection.close();
        } catch {
          // Closed by its pipe.
        }
      }
    },
  };
}
