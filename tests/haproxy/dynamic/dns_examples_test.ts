// What the other examples of deploy/haproxy/dynamic add to a-records.cfg: IPv6, TLS, services, draining, a
// second agent. HAProxy 3.0, 3.2 and 3.4 side by side, with a real name server.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { type AgentProcess, startAgent } from "../../lab/agent/agent_process.ts";
import { startHealthBackend } from "../../lab/backends/libraries/health_backend.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import { callThrough, HEALTH_CHECK, OpenCall } from "../../lab/clients/call_through.ts";
import { getHaproxy } from "../../lab/haproxy/find_haproxy.ts";
import type { Haproxy, ServerRow } from "../../lab/haproxy/haproxy.ts";
import { HAPROXY_SERIES } from "../../lab/haproxy/haproxy_packages.ts";
import {
  DYNAMIC_EXAMPLES,
  type DynamicExample,
  placeDynamicExample,
  writeLoadedFiles,
} from "../../lab/haproxy/placed_examples.ts";
import { type StartSideBySide, testSideBySide } from "../../lab/haproxy/test_with_haproxy.ts";
import { type CheckedServer, waitForServer } from "../../lab/haproxy/wait_for_server.ts";
import { freePort } from "../../lab/machine/free_port.ts";
import { NAME_SERVER, NameServer } from "../../lab/machine/name_server.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";

/** One HAProxy with an example's configuration. */
interface Running {
  series: string;
  haproxy: Haproxy;
  /** Where it takes calls. */
  origin: string;
}

testSideBySide("every example is accepted without a warning", [], async () => {
  await using certificates = await CertificateAuthority.create();
  await writeLoadedFiles(certificates.directory);
  for (const { name } of Deno.readDirSync(DYNAMIC_EXAMPLES)) {
    if (!name.endsWith(".cfg")) continue;
    const place = { directory: certificates.directory, agentPort: 5555 };
    const { text } = (await placeDynamicExample(name, place)).configuration();
    const file = `${certificates.directory}/${name}`;
    await Deno.writeTextFile(file, text);
    for (const series of HAPROXY_SERIES) {
      // Its comment says that it is for 3.4.
      if (name === "healthcheck-section.cfg" && series !== "3.4") continue;
      const command = new Deno.Command(await getHaproxy(series), { args: ["-c", "-f", file] });
      const { code, stdout, stderr } = await command.output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assert.deepEqual({ name, series, code, said }, { name, series, code: 0, said: "" });
    }
  }
});

testDnsExample("one-connection.cfg", async ({ run, names, port }) => {
  await using _one = await startHealthBackend({ host: "127.0.3.7", port });
  await using _two = await startHealthBackend({ host: "127.0.3.8", port });
  // The agent may not ask this one, so whoever connects to it is HAProxy.
  await using other = await CountingListener.start("127.0.4.9", port);
  await names.set(["api A 127.0.3.7", "api A 127.0.4.9"]);
  const haproxies = await run();
  await all(haproxies, at(`127.0.3.7:${port}`, { status: "UP" }));
  await all(haproxies, at(`127.0.4.9:${port}`, { status: "DOWN", lastCheck: /^down #denied/ }));
  assert.equal(other.connections, 0);
  for (const { haproxy } of haproxies) {
    await haproxy.runtime(`add server api/added 127.0.3.8:${port} check inter 300ms proto h2`);
    await haproxy.runtime("enable health api/added; enable server api/added");
  }
  await all(haproxies, at(`127.0.3.8:${port}`, { status: "UP" }));
});

testDnsExample("ipv6.cfg", async ({ run, names, port }) => {
  await using one = await startHealthBackend({ host: "[::1]", port });
  await names.set(["api AAAA ::1", "api A 127.0.3.7"]);
  const haproxies = await run();
  const server = `[::1]:${port}`;
  await all(haproxies, at(server, { status: "UP" }));
  for (const { haproxy, origin } of haproxies) {
    const servers = (await haproxy.stats("api")).filter(({ fields }) => fields.addr);
    assert.equal(servers.length, 1, "The IPv4 address is not taken");
    assert.equal(await callThrough(origin, HEALTH_CHECK), 200);
  }
  await one.setStatus("", "NOT_SERVING");
  await all(haproxies, at(server, { status: "DOWN", lastCheck: "down #NOT_SERVING" }));
});

testDnsExample("tls.cfg", async ({ run, names, port, certificates }) => {
  const right = await certificates.issue("api", { names: ["api.internal"] });
  const wrong = await certificates.issue("other", { names: ["other.internal"] });
  await using one = await startHealthBackend({ host: "127.0.3.7", port, tls: right });
  await using _two = await startHealthBackend({ host: "127.0.3.8", port, tls: wrong });
  await names.set(["api A 127.0.3.7", "api A 127.0.3.8"]);
  const haproxies = await run();
  await all(haproxies, at(`127.0.3.7:${port}`, { status: "UP" }));
  await all(haproxies, at(`127.0.3.8:${port}`, { status: "DOWN", lastCheck: /^down #tls: / }));
  for (const { origin } of haproxies) assert.equal(await callThrough(origin, HEALTH_CHECK), 200);
  await one.setStatus("", "NOT_SERVING");
  await all(haproxies, at(`127.0.3.7:${port}`, { status: "DOWN" }));
});

testDnsExample("services.cfg", async ({ run, names, port }) => {
  await using one = await startHealthBackend({
    host: "127.0.3.7",
    port,
    services: { "orders.v1.Orders": "SERVING", "stock.v1.Stock": "NOT_SERVING" },
  });
  await names.set(["api A 127.0.3.7"]);
  const haproxies = await run();
  const server = `127.0.3.7:${port}`;
  await all(haproxies, at(server, { status: "UP" }), "orders");
  await all(haproxies, at(server, { status: "DOWN" }), "stock");
  for (const { origin } of haproxies) {
    assert.equal(await callThrough(origin, "/orders.v1.Orders/Get"), 200);
    assert.equal(await callThrough(origin, "/stock.v1.Stock/Get"), 503);
  }
  await one.setStatus("stock.v1.Stock", "SERVING");
  await all(haproxies, at(server, { status: "UP" }), "stock");
});

testDnsExample("drain.cfg", async ({ run, names, port }) => {
  await using one = await startHealthBackend({ host: "127.0.3.7", port });
  await names.set(["api A 127.0.3.7"]);
  const haproxies = await run();
  const server = `127.0.3.7:${port}`;
  await all(haproxies, at(server, { status: "UP" }));
  const streams = haproxies.map(({ origin }) => new OpenCall(origin));
  for (const stream of streams) await stream.message();

  await one.setStatus("", "NOT_SERVING");
  await all(haproxies, at(server, { status: "NOLB", lastCheck: "drain #NOT_SERVING" }));
  // The call that was open before goes on, and has heard of it; a new one finds no server.
  for (const stream of streams) await stream.message();
  for (const { origin } of haproxies) assert.equal(await callThrough(origin, HEALTH_CHECK), 503);
  for (const { series, haproxy } of haproxies) {
    await haproxy.runtime("set server api/api1 state maint");
    await one.setStatus("", "SERVING");
    const [row] = await haproxy.stats("api");
    assert.equal(row?.status, "MAINT", series);
    await haproxy.runtime("set server api/api1 state ready");
  }
  await all(haproxies, at(server, { status: "UP" }));
  for (const stream of streams) stream.close();
  await one.kill();
  await all(haproxies, at(server, { status: "DOWN" }));
});

testSideBySide("two-agents.cfg does what it says", [NAME_SERVER], async (start) => {
  const port = freePort();
  await using one = await startHealthBackend({ host: "127.0.3.7", port });
  await using names = await NameServer.start(["api A 127.0.3.7"]);
  await using first = await startAgent();
  await using second = await startAgent();
  const near = (agent: AgentProcess) => `127.0.0.1:${agent.port} port ${agent.metricsPort}`;
  const example = await placeDynamicExample("two-agents.cfg", {
    agentPort: 5555,
    backendPort: port,
    nameServerPort: names.port,
    checkTimeout: "1s",
    replace: {
      "10.0.1.5:5555": near(first),
      "10.0.1.6:5555": near(second),
      "inter 1s": "inter 300ms",
    },
  });
  await using stack = new AsyncDisposableStack();
  const haproxies = await runAll(start, stack, () => {
    const { text, frontendPort } = example.configuration();
    return { text: text.replaceAll("5556", `${freePort()}`), frontendPort };
  });
  const server = `127.0.3.7:${port}`;
  const agent = (server: string, status: string) => ({ server, status });
  await all(haproxies, at(server, { status: "UP" }));

  await first.stop();
  await all(haproxies, agent("one", "DOWN"), "agents");
  await all(haproxies, at(server, { status: "UP" }));
  await second.freeze();
  await all(haproxies, agent("two", "DOWN"), "agents");
  await all(haproxies, at(server, { status: "DOWN" }));
  for (const { origin } of haproxies) assert.equal(await callThrough(origin, HEALTH_CHECK), 200);
  second.signal("SIGCONT");
  await all(haproxies, at(server, { status: "UP" }));
  await one.setStatus("", "NOT_SERVING");
  await all(haproxies, at(server, { status: "DOWN" }));
});

testSideBySide("sidecar.cfg does what it says", [NAME_SERVER], async (start) => {
  const [port, agentPort, metricsPort] = [freePort(), freePort(), freePort()];
  // At 127.0.0.1 for the agent beside it, and at 127.0.3.7 for HAProxy.
  await using one = await startHealthBackend({ host: "0.0.0.0", port });
  await using names = await NameServer.start(["api A 127.0.3.7"]);
  await using _agent = await startAgent({
    port: agentPort,
    metricsPort,
    addressFlags: false,
    flags: [
      ...["--server-bind", "127.0.3.7", "--server-port", `${agentPort}`],
      ...["--metrics-bind", "127.0.0.1", "--metrics-port", `${metricsPort}`],
      ...["--allow-clients", "127.0.0.0/8", "--allow-backends", `127.0.0.1:${port}`],
    ],
  });
  const place = { agentPort, backendPort: port, nameServerPort: names.port };
  const example = await placeDynamicExample("sidecar.cfg", place);
  await using stack = new AsyncDisposableStack();
  const haproxies = await runAll(start, stack, example.configuration);
  const look = (up: boolean) => ({ server, up: isUp, agentStatus }: ServerRow) =>
    server === "api1" && isUp === up && agentStatus === (up ? "L7OK" : "L7STS");
  for (const { haproxy, origin } of haproxies) {
    await haproxy.waitFor("api", "api1", look(true), 15_000);
    assert.equal(await callThrough(origin, HEALTH_CHECK), 200);
  }
  await one.setStatus("", "NOT_SERVING");
  for (const { haproxy } of haproxies) await haproxy.waitFor("api", "api1", look(false), 15_000);
});

/** What a test of an example is given. */
interface Surroundings {
  /** Starts the HAProxies, and the agent with the settings that the example shows. */
  run(): Promise<Running[]>;
  names: NameServer;
  certificates: CertificateAuthority;
  /** The port that takes the place of 50051. */
  port: number;
}

function testDnsExample(name: string, test: (surroundings: Surroundings) => Promise<void>): void {
  testSideBySide(`${name} does what it says`, [NAME_SERVER], async (start) => {
    await using stack = new AsyncDisposableStack();
    const certificates = stack.use(await CertificateAuthority.create());
    await writeLoadedFiles(certificates.directory);
    const names = stack.use(await NameServer.start([]));
    const [agentPort, port] = [freePort(), freePort()];
    const example = await placeDynamicExample(name, {
      directory: certificates.directory,
      agentPort,
      backendPort: port,
      nameServerPort: names.port,
    });
    await using directory = await TempDirectory.create();
    const settings = await directory.write("agent.toml", example.agentSettings);
    await using agent = await startAgent({ port: agentPort, flags: ["--config", settings] });
    const run = () => runAll(start, stack, example.configuration);
    await test({ run, names, certificates, port });
    assert.deepEqual(agent.faults(), []);
  });
}

/** Starts an HAProxy of each series. */
async function runAll(
  start: StartSideBySide,
  stack: AsyncDisposableStack,
  configuration: DynamicExample["configuration"],
): Promise<Running[]> {
  const origins = new Map<string, string>();
  const started = await start(stack, (series) => {
    const { text, frontendPort } = configuration();
    origins.set(series, `http://127.0.0.1:${frontendPort}`);
    return text;
  });
  return [...started].map(([series, haproxy]) => {
    return { series, haproxy, origin: origins.get(series) ?? "" };
  });
}

const at = (address: string, expected: CheckedServer): CheckedServer => ({ ...expected, address });

/** Waits until every HAProxy has the server as expected. */
async function all(haproxies: Running[], expected: CheckedServer, backend = "api"): Promise<void> {
  for (const { haproxy } of haproxies) await waitForServer(haproxy, backend, expected);
}

/** Counts who connects, and says nothing. */
class CountingListener implements AsyncDisposable {
  connections = 0;
  #server = createServer((socket) => {
    this.connections++;
    socket.on("error", () => {});
    socket.destroy();
  });

  static async start(host: string, port: number): Promise<CountingListener> {
    const listener = new CountingListener();
    await new Promise<void>((resolve, reject) => {
      listener.#server.once("error", reject);
      listener.#server.listen(port, host, resolve);
    });
    return listener;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
