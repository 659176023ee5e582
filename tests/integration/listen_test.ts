// Names to listen on: all of their addresses, each logged. And the two addresses that stand for all.

import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { askFrom } from "../lab/clients/ask.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { LabProcess } from "../lab/machine/lab_process.ts";
import { testWithOwnNames } from "../lab/machine/own_names.ts";
import { testWithOwnNetwork } from "../lab/machine/own_network.ts";
import { within } from "../lab/testing/eventually.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

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

/** Where the agent of a network of a test's own listens, and what it warns of. */
interface Listening {
  readonly addresses: readonly string[];
  readonly warnings: readonly string[];
}

/** Starts an agent on its default ports in a network of its own, where nobody else has them. */
async function listening(wrapper: string[], toml: string): Promise<Listening> {
  await using directory = await TempDirectory.create();
  const flags = ["--config", await directory.write("agent.toml", toml)];
  await using agent = await startAgent({ wrapper, addressFlags: false, flags, until: "nothing" });
  for (const by of ["server", "metrics"]) {
    await agent.waitForLog("of listening", ({ component, message }) => {
      return component === by && message === "Listening";
    });
  }
  assert.equal((await agent.stop()).code, 0);
  assert.deepEqual(agent.faults(), []);
  const addresses = agent.logs.filter(({ message }) => message === "Listening")
    .map(({ address }) => String(address)).sort();
  const warnings = agent.logs.filter(({ level, component }) => {
    return level === "warn" && component !== "config";
  });
  return { addresses, warnings: warnings.map(({ message }) => message) };
}

const BOTH_WILDCARDS = 'server_bind_address = ["0.0.0.0", "::"]\n';
const SIX_ALONE = 'server_bind_address = "::"\nmetrics_bind_address = "::"\n';

testWithOwnNetwork(
  ":: takes IPv4 too, so 0.0.0.0 beside it is nothing more",
  {},
  "echo 0 > /proc/sys/net/ipv6/bindv6only",
  async ({ wrapper }) => {
    assert.deepEqual(await listening(wrapper, BOTH_WILDCARDS), {
      addresses: ["0.0.0.0:9090", "[::]:5555"],
      warnings: [],
    });
    assert.deepEqual((await listening(wrapper, SIX_ALONE)).warnings, []);
  },
);

testWithOwnNetwork(
  "where :: takes IPv6 only, 0.0.0.0 beside it is listened on, and :: alone is warned of",
  {},
  "echo 1 > /proc/sys/net/ipv6/bindv6only",
  async ({ wrapper }) => {
    assert.deepEqual(await listening(wrapper, BOTH_WILDCARDS), {
      addresses: ["0.0.0.0:5555", "0.0.0.0:9090", "[::]:5555"],
      warnings: [],
    });
    const alone = await listening(wrapper, SIX_ALONE);
    assert.deepEqual(alone.addresses, ["[::]:5555", "[::]:9090"]);
    assert.equal(alone.warnings.length, 2, "One for each port");
    for (const warning of alone.warnings) assert.match(warning, /bindv6only is 1.*0\.0\.0\.0/);
  },
);

testWithOwnNetwork(
  "where :: takes IPv6 only, somebody else's 0.0.0.0 ends the agent with 1",
  {},
  "echo 1 > /proc/sys/net/ipv6/bindv6only",
  async ({ wrapper }) => {
    const [nsenter = "", network = ""] = wrapper;
    const script = `const taken = Deno.listen({ hostname: "0.0.0.0", port: 5555 });
      console.log("taken");
      await taken.accept();`;
    await using other = new LabProcess(nsenter, {
      args: [network, Deno.execPath(), "eval", script],
    });
    await other.stdout.waitFor("the port to be taken", (line) => line === "taken" || undefined);
    await using directory = await TempDirectory.create();
    const flags = ["--config", await directory.write("agent.toml", BOTH_WILDCARDS)];
    await using agent = await startAgent({ wrapper, addressFlags: false, flags, until: "nothing" });
    assert.equal((await within("the agent to end", 10_000, agent.exited)).code, 1);
    const errors = agent.logs.filter(({ level }) => level === "error");
    assert.match(errors[0]?.message ?? "", /^Cannot listen on 0\.0\.0\.0:5555: .*in use/);
  },
);
