// HAProxy's Data Plane API beside a real HAProxy, told by the commands of docs/dynamic-servers.md to add servers
// that the agent is asked about, and to take them out.

import assert from "node:assert/strict";
import { parse } from "yaml";
import { startAgent } from "../../lab/agent/agent_process.ts";
import { startHealthBackend } from "../../lab/backends/libraries/health_backend.ts";
import type { Haproxy } from "../../lab/haproxy/haproxy.ts";
import { DYNAMIC_EXAMPLES } from "../../lab/haproxy/placed_examples.ts";
import { testWithEachHaproxy } from "../../lab/haproxy/test_with_haproxy.ts";
import { waitForServer } from "../../lab/haproxy/wait_for_server.ts";
import { freePort } from "../../lab/machine/free_port.ts";
import { LabProcess } from "../../lab/machine/lab_process.ts";
import { documentCommands, documentFiles } from "../../lab/testing/repository.ts";
import { type Need, succeeds } from "../../lab/testing/test_that_needs.ts";

const DOCUMENT = "docs/dynamic-servers.md";
const COMMANDS = documentCommands(DOCUMENT);
const FILES = documentFiles(DOCUMENT);

/** Headings of the document, in the order in which a reader comes to them. */
const START = "Its start";
const COMMON = "What the commands have in common";
const ADD = "A server with an agent check";
const LOOK = "How it is";
const REMOVE = "The server taken out";
const ADD_BACKEND = "A backend with the tcp-check";
const ADD_CHECKED = "Its servers";

/** The Data Plane API; Debian does not package it. */
const PROGRAM = Deno.env.get("DATAPLANEAPI_PROGRAM") ?? "";

Deno.test("every command for the Data Plane API in docs/dynamic-servers.md is one that is run here", () => {
  const headings = [...COMMANDS].filter(([, blocks]) =>
    blocks.some((block) => /\bask\b|\bdataplaneapi\b/.test(block))
  ).map(([heading]) => heading);
  assert.deepEqual(headings, [START, COMMON, ADD, LOOK, REMOVE, ADD_BACKEND, ADD_CHECKED]);
  for (const heading of headings) assert.equal(COMMANDS.get(heading)?.length, 1, heading);
});

Deno.test("the Data Plane API's tcp-check in docs/dynamic-servers.md is that of kubernetes-ingress.yaml", async () => {
  const backend = JSON.parse(FILES.get("orders.json") ?? "");
  const text = await Deno.readTextFile(`${DYNAMIC_EXAMPLES}kubernetes-ingress.yaml`);
  const { spec } = parse(text.replace("addr: 10.96.0.55", "addr: 127.0.0.1"));
  assert.deepEqual(backend, { ...spec, name: "orders" });
});

testWithEachHaproxy(
  "servers that docs/dynamic-servers.md has the Data Plane API add are as the agent says, and go",
  async (start, executable) => {
    const port = freePort();
    await using one = await startHealthBackend({
      host: "127.0.3.7",
      port,
      services: { "": "NOT_SERVING" },
    });
    await using agent = await startAgent({ flags: ["--reply-reason"] });
    await using haproxy = await start(CONFIGURATION, { masterWorker: true });
    const ports: Record<string, number> = { 50051: port, 5555: agent.port, 5556: freePort() };
    const place = (text: string) =>
      text
        .replaceAll("10.0.3.7", "127.0.3.7")
        .replaceAll(/\b(?:50051|5555|5556)\b/g, (documented) => `${ports[documented]}`)
        .replaceAll('inter": 2000', 'inter": 300')
        .replace("/usr/sbin/haproxy", executable)
        .replace("/run/haproxy-master.sock", `${haproxy.folder}/master.sock`)
        // There is no systemd around this HAProxy.
        .replace("reload_strategy: systemd", ownReload(haproxy))
        .replaceAll("/etc/haproxy", haproxy.folder);
    for (const [name, text] of FILES) {
      const path = name.startsWith("/") ? place(name) : `${haproxy.folder}/${name}`;
      await Deno.writeTextFile(path, place(text));
    }
    const commands = (heading: string) => place(COMMANDS.get(heading)?.join("") ?? "");
    const run = async (heading: string) => {
      const script = `set -e\n${commands(COMMON)}${commands(heading)}`;
      const { success, stdout, stderr } = await new Deno.Command("sh", {
        args: ["-c", script],
        cwd: haproxy.folder,
      }).output();
      const said = new TextDecoder().decode(stdout);
      assert.ok(success, `${heading}: ${said}${new TextDecoder().decode(stderr)}`);
      return said;
    };

    const startCommand = commands(START).replace("dataplaneapi ", 'exec "$DATAPLANEAPI_PROGRAM" ');
    await using api = new LabProcess("sh", { args: ["-c", startCommand] });
    await api.stdout.waitFor(
      "Serving data plane at",
      (line) => line.includes("Serving") || undefined,
      15_000,
    );

    await run(ADD);
    await haproxy.waitFor("api", "api1", { up: false, agentStatus: "L7STS" });
    await one.setStatus("", "SERVING");
    await haproxy.waitFor("api", "api1", { up: true, agentStatus: "L7OK" });
    await one.setStatus("", "NOT_SERVING");
    await haproxy.waitFor("api", "api1", { up: false, agentStatus: "L7STS" });
    const { stats: [server] } = JSON.parse(await run(LOOK));
    assert.match(server.stats.status, /^DOWN/);
    assert.match(server.stats.last_agt, /NOT_SERVING/);
    await run(REMOVE);
    assert.deepEqual(await haproxy.stats("api"), []);

    await run(ADD_BACKEND);
    await run(ADD_CHECKED);
    const down = { server: "orders1", status: "DOWN", lastCheck: "down #NOT_SERVING" };
    await waitForServer(haproxy, "orders", down);
    await one.setStatus("", "SERVING");
    await waitForServer(haproxy, "orders", {
      server: "orders1",
      status: "UP",
      checkStatus: "L7OK",
    });
    await one.setStatus("", "NOT_SERVING");
    await waitForServer(haproxy, "orders", down);
    assert.deepEqual(agent.faults(), []);
  },
  undefined,
  need(),
);

/** What the test wants beside an HAProxy. */
function need(): Need {
  if (!succeeds(PROGRAM, "--version")) {
    // CI has nowhere to install it from.
    const missing = "DATAPLANEAPI_PROGRAM names no Data Plane API (dataplaneapi 3.4)";
    return { missing, mayLackInCi: true };
  }
  return {
    missing: succeeds("curl", "--version") ? undefined : "curl is missing (Debian package curl)",
  };
}

/** Settings with which the Data Plane API tells an HAProxy of its own to read its configuration again. */
function ownReload(haproxy: Haproxy): string {
  return `reload_strategy: custom
    reload_cmd: kill -USR2 ${haproxy.pid}
    restart_cmd: kill -USR2 ${haproxy.pid}`;
}

/** A backend without a server, for those that are added. */
const CONFIGURATION = `defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s

backend api
  balance roundrobin
`;
