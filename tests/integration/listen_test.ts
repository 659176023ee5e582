// Names to listen on: all of their addresses, each logged.

import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { askFrom } from "../lab/clients/ask.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { testWithOwnNames } from "../lab/machine/own_names.ts";
import { testWithOwnNetwork } from "../lab/machine/own_network.ts";
import { within } from "../lab/testing/eventually.ts";

const BOTH = { "both.test": ["127.0.0.1", "::1"] };
const NAMED = ["--server-bind", "both.test", "--metrics-bind", "both.test"];

function portFlags(): { port: number; metricsPort: number; flags: string[] } {
  const [port, metricsPort] = [freePort(), freePort()];
  const ports = ["--server-port", `${port}`, "--metrics-port", `${metricsPort}`];
  return { port, metricsPort, flags: [...NAMED, ...ports] };
}

testWithOwnNames("all addresses of a name are listened on, each logged", BOTH, async (wrapper) => {
  const { port, metricsPort, flags } = portFlags();
  await withAgent({ wrapper, addressFlags: false, port, metricsPort, flags }, async (agent) => {
    for (const address of ["127.0.0.1", "::1"]) {
      assert.equal(await askFrom(address, { to: address, port, line: "nonsense\n" }), "down\n");
    }
    for (const host of ["127.0.0.1", "[::1]"]) {
      const response = await fetch(`http://${host}:${metricsPort}/readyz`);
      assert.equal(await response.text(), "ready\n");
      for (const [component, at] of [["server", port], ["metrics", metricsPort]] as const) {
        await agent.waitForLog("of listening", (entry) => {
          const { component: by, message, address } = entry;
          return by === component && message === "Listening" && address === `${host}:${at}`;
        });
      }
    }
  });
});

testWithOwnNames(
  "a name to listen on that resolves to nothing ends the agent with 1, and says so",
  { "gone.test": [] },
  async (wrapper) => {
    const flags = ["--server-bind", "gone.test"];
    await using agent = await startAgent({ wrapper, addressFlags: false, flags, until: "nothing" });
    assert.equal((await within("the agent to end", 10_000, agent.exited)).code, 1);
    const errors = agent.logs.filter(({ level }) => level === "error");
    assert.equal(errors.length, 1);
    assert.match(errors[0]?.message ?? "", /^Cannot listen on gone\.test: the name has no address/);
  },
);

testWithOwnNames(
  "an address of a name that is taken ends the agent with 1, naming both",
  BOTH,
  async (wrapper) => {
    const { port, flags } = portFlags();
    using _taken = Deno.listen({ hostname: "::1", port });
    await using agent = await startAgent({ wrapper, addressFlags: false, flags, until: "nothing" });
    assert.equal((await within("the agent to end", 10_000, agent.exited)).code, 1);
    const errors = agent.logs.filter(({ level }) => level === "error");
    assert.match(
      errors[0]?.message ?? "",
      /^Cannot listen on \[::1\]:\d+ \(both\.test\): .*in use/,
    );
  },
);

testWithOwnNetwork(
  "on a machine without IPv6 the other address of a name is enough",
  BOTH,
  "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6",
  async ({ withNames }) => {
    const { flags } = portFlags();
    const options = { wrapper: withNames, addressFlags: false, flags };
    await using agent = await startAgent({ ...options, until: "nothing" });
    await agent.waitForLog("of listening", ({ component, message, address }) => {
      return component === "server" && message === "Listening" &&
        String(address).startsWith("127.0.0.1:");
    });
    await agent.waitForLog("of what is missing", ({ level, message }) => {
      return level === "warn" && /^Cannot listen on \[::1\]:\d+ \(both\.test\)/.test(message);
    });
    assert.equal((await agent.stop()).code, 0);
  },
);
