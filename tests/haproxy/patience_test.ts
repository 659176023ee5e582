// HAProxies that do not wait for check_timeout_ms: they hang up at agent-inter or `timeout check`, and keep the
// server as it was, unless the agent learns to answer before.

import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { server } from "../lab/haproxy/configuration.ts";
import { testSideBySide } from "../lab/haproxy/test_with_haproxy.ts";

/** HAProxy's backends by when they hang up, in milliseconds, and how they come to it. */
const BACKENDS: Readonly<Record<number, string>> = {
  300: "timeout check 300ms\n  default-server agent-inter 500ms",
  400: "default-server agent-inter 400ms",
  1000: "default-server agent-inter 1s",
};

/** The longest that one may take, which is of the one that asks least often, with room. */
const CHANGE_MS = 20_000;

testSideBySide(
  "a frozen server goes DOWN however soon HAProxy hangs up, and one that takes 85 % of that stays UP",
  [],
  async (start) => {
    await using backend = await startHealthBackend();
    await using agent = await startAgent();
    await using stack = new AsyncDisposableStack();
    const haproxies = await start(stack, (series) => {
      const backends = Object.entries(BACKENDS).map(([ms, lines]) => {
        // Lines of their own: each series is to teach by itself.
        const line = backend.line({ authority: `after-${ms}.v${series}.test` });
        const agentCheck = `agent-check agent-addr 127.0.0.1 agent-port ${agent.port}`;
        return `backend after${ms}\n  ${lines} ${agentCheck}\n  ${
          server("one", backend.port, line)
        }\n`;
      });
      return `defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n\n${
        backends.join("\n")
      }`;
    });
    const everywhere = async (up: boolean) => {
      for (const [series, haproxy] of haproxies) {
        for (const ms of Object.keys(BACKENDS)) {
          const expected = { up, agentStatus: up ? "L7OK" : "L7STS" };
          await haproxy.waitFor(`after${ms}`, "one", expected, CHANGE_MS).catch((error) => {
            throw new Error(`HAProxy ${series}, after ${ms} ms: ${error.message}`);
          });
        }
      }
    };
    await everywhere(true);
    const metric = async (name: string) =>
      (await agent.metrics()).get(`haproxy_grpc_agent_${name}`) ?? 0;
    assert.equal(await metric("client_patience_learnt"), 0, "A reset after the reply teaches");

    await backend.freeze();
    await everywhere(false);
    const pairs = haproxies.size * Object.keys(BACKENDS).length;
    assert.ok(await metric("client_patience_learnt") >= pairs);
    assert.ok(await metric("checks_abandoned_total") >= 3 * pairs);

    await backend.thaw();
    await everywhere(true);

    await backend.setDelay(850);
    const stay = [...haproxies.values()].map((haproxy) =>
      haproxy.stays("after1000", "one", { up: true }, 5000)
    );
    await Promise.all(stay);
    assert.deepEqual(agent.faults(), []);
  },
);
