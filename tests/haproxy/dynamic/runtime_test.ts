// Servers added and removed through HAProxy's runtime API, with the commands that runtime.cfg and
// docs/dynamic-servers.md show, on HAProxy 3.0, 3.2 and 3.4 side by side.

import assert from "node:assert/strict";
import { startAgent } from "../../lab/agent/agent_process.ts";
import { startHealthBackend } from "../../lab/backends/libraries/health_backend.ts";
import { callThrough, HEALTH_CHECK } from "../../lab/clients/call_through.ts";
import type { Haproxy } from "../../lab/haproxy/haproxy.ts";
import { placeDynamicExample } from "../../lab/haproxy/placed_examples.ts";
import { testSideBySide } from "../../lab/haproxy/test_with_haproxy.ts";
import { waitForServer } from "../../lab/haproxy/wait_for_server.ts";
import { freePort } from "../../lab/machine/free_port.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { documentCommands, documentFiles } from "../../lab/testing/repository.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";

const DOCUMENT = "docs/dynamic-servers.md";
const COMMANDS = documentCommands(DOCUMENT);

testSideBySide(
  "runtime.cfg: a server added by name is UP once it serves, and goes",
  [],
  async (start) => {
    const port = freePort();
    await using one = await startHealthBackend({
      host: "127.0.3.7",
      port,
      services: { "": "NOT_SERVING" },
    });
    await using agent = await startAgent({ flags: ["--reply-reason"] });
    const example = await placeDynamicExample("runtime.cfg", {
      agentPort: agent.port,
      backendPort: port,
    });
    const [add = "", enable = "", ...remove] = example.runtimeCommands;
    assert.equal(remove.length, 5);
    await using stack = new AsyncDisposableStack();
    const origins = new Map<string, string>();
    const haproxies = await start(stack, (series) => {
      const { text, frontendPort } = example.configuration();
      origins.set(series, `http://127.0.0.1:${frontendPort}`);
      return text;
    });
    const server = `127.0.3.7-${port}`;
    for (const haproxy of haproxies.values()) {
      assert.equal(await haproxy.runtime(add), "New server registered.");
      assert.equal(await haproxy.runtime(enable), "");
      const [row] = await haproxy.stats("api");
      assert.equal(row?.up, false, "It is not UP before the agent has said so");
    }
    for (const haproxy of haproxies.values()) {
      const lastCheck = "down #NOT_SERVING";
      await waitForServer(haproxy, "api", { server, status: "DOWN", lastCheck });
    }
    await one.setStatus("", "SERVING");
    for (const [series, haproxy] of haproxies) {
      await waitForServer(haproxy, "api", { server, status: "UP", checkStatus: "L7OK" });
      assert.equal(await callThrough(origins.get(series) ?? "", HEALTH_CHECK), 200);
    }
    for (const haproxy of haproxies.values()) {
      const answers: string[] = [];
      for (const command of remove) answers.push(await haproxy.runtime(command));
      assert.deepEqual(answers, ["", "Done.", "", "Done.", "Server deleted."]);
      assert.deepEqual(await haproxy.stats("api"), []);
    }
    assert.deepEqual(agent.faults(), []);
  },
);

testSideBySide(
  "a server added with an agent check as docs/dynamic-servers.md shows is UP once it serves, and goes",
  [],
  async (start) => {
    const port = freePort();
    await using one = await startHealthBackend({
      host: "127.0.3.9",
      port,
      services: { "": "NOT_SERVING" },
    });
    await using agent = await startAgent();
    await using stack = new AsyncDisposableStack();
    const haproxies = await start(stack, () => STATIC);
    const run = async (heading: string) => {
      for (const haproxy of haproxies.values()) {
        for (const command of await commandsOf(heading)) {
          const placed = command
            .replaceAll("10.0.3.9", "127.0.3.9").replaceAll("50051", `${port}`)
            .replace("agent-port 5555", `agent-port ${agent.port}`)
            .replace("agent-inter 2s", "agent-inter 300ms");
          assert.match(
            await haproxy.runtime(placed),
            /^(|New server registered\.|Done\.|Server deleted\.)$/,
          );
        }
      }
    };
    await run("Added with an agent check");
    for (const haproxy of haproxies.values()) {
      assert.equal((await haproxy.stats("api"))[0]?.up, false, "Not before the agent's first up");
      await haproxy.waitFor("api", "api3", { up: false, agentStatus: "L7STS" });
    }
    await one.setStatus("", "SERVING");
    for (const haproxy of haproxies.values()) {
      await haproxy.waitFor("api", "api3", { up: true, agentStatus: "L7OK" });
    }
    await run("Taken out");
    for (const haproxy of haproxies.values()) assert.deepEqual(await haproxy.stats("api"), []);
    assert.deepEqual(agent.faults(), []);
  },
);

testSideBySide(
  "a server added with an agent check has nobody asked before it is enabled",
  [],
  async (start) => {
    await using one = await startHealthBackend();
    await using agent = await startAgent();
    await using stack = new AsyncDisposableStack();
    const haproxies = await start(stack, () => STATIC);
    for (const haproxy of haproxies.values()) {
      await haproxy.runtime(
        `add server api/api3 127.0.0.1:${one.port} agent-check agent-addr 127.0.0.1 ` +
          `agent-port ${agent.port} agent-inter 500ms agent-send ${escaped(one.line())}`,
      );
      await haproxy.runtime("enable server api/api3");
      await haproxy.stays("api", "api3", { status: "no check", agentStatus: "" }, 700);
      await haproxy.runtime("enable agent api/api3");
      await haproxy.waitFor("api", "api3", { up: true, agentStatus: "L7OK" });
    }
  },
);

testSideBySide(
  "the server that docs/dynamic-servers.md gives to the Data Plane API asks the agent",
  [],
  async (start) => {
    const port = freePort();
    await using _one = await startHealthBackend({ host: "127.0.3.7", port });
    await using agent = await startAgent();
    const json = documentFiles(DOCUMENT).get("api1.json") ?? "";
    const { name, address, port: _port, ...options } = JSON.parse(json);
    // As the Data Plane API's library writes it: names and values as they are, with a blank between.
    const written = Object.entries(options).map(([key, value]) =>
      value === "enabled" ? key : `${key} ${value}`
    );
    const line = `server ${name} ${address}:50051 ${written.join(" ")}`
      .replaceAll("10.0.3.7", "127.0.3.7").replaceAll("50051", `${port}`)
      .replace("agent-port 5555", `agent-port ${agent.port}`)
      .replace("agent-inter 2000", "agent-inter 500");
    await using stack = new AsyncDisposableStack();
    const haproxies = await start(stack, () => `${STATIC}  ${line}\n`);
    for (const haproxy of haproxies.values()) {
      await haproxy.waitFor("api", "api1", { up: true, agentStatus: "L7OK" }, 15_000);
    }
    assert.deepEqual(agent.faults(), []);
  },
);

testSideBySide("a state file brings the recorded agent port back", [], async (start) => {
  await using agent = await startAgent();
  await using one = await startHealthBackend();
  await using directory = await TempDirectory.create();
  await using stack = new AsyncDisposableStack();
  const configuration = (agentPort: number, stateFile = "") =>
    `
${stateFile}
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
  ${stateFile && "load-server-state-from-file global"}

backend api
  server api1 127.0.0.1:${one.port} agent-check agent-addr 127.0.0.1 agent-port ${agentPort} ` +
    `agent-inter 300ms agent-send "${one.line().replace("\n", "\\n")}"\n`;
  const moved = freePort();
  const before = await start(stack, () => configuration(moved));
  for (const [series, haproxy] of before) {
    await directory.write(`state-${series}`, await haproxy.runtime("show servers state") + "\n");
  }
  const after = await start(
    stack,
    (series) =>
      configuration(agent.port, `global\n  server-state-file ${directory.path}/state-${series}`),
  );
  for (const haproxy of after.values()) {
    assert.deepEqual(await agentPorts(haproxy), [`${moved}`]);
    // The way out that the document names.
    await haproxy.runtime(`set server api/api1 agent-port ${agent.port}`);
    await haproxy.waitFor("api", "api1", { up: true, agentStatus: "L7OK" });
  }
});

/** A backend without a server, for those that are added. */
const STATIC = `defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s

backend api
  balance roundrobin
`;

/** What a shell's `echo` makes of the commands under a heading of the document. */
async function commandsOf(heading: string): Promise<string[]> {
  const lines = (COMMANDS.get(heading) ?? []).join("").split("\n").filter((line) => line !== "");
  assert.ok(lines.length > 0, heading);
  return await Promise.all(lines.map(async (line) => {
    const [, echo] = /^(echo .*) \| socat - \S+$/.exec(line) ?? [];
    assert.ok(echo, line);
    const { stdout } = await new Deno.Command("sh", { args: ["-c", echo] }).output();
    return new TextDecoder().decode(stdout).trimEnd();
  }));
}

function escaped(line: string): string {
  return line.trimEnd().replaceAll(" ", "\\ ");
}

/** The agent ports of the servers of `api`. */
async function agentPorts(haproxy: Haproxy): Promise<string[]> {
  return await eventually("the servers' state", async () => {
    const [, names = "", ...rows] = (await haproxy.runtime("show servers state api")).split("\n");
    const column = names.replace("# ", "").split(" ").indexOf("srv_agent_port");
    return rows.filter((row) => row !== "").map((row) => row.split(" ")[column] ?? "");
  });
}
