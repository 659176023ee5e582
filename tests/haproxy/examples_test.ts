// The configurations in deploy/haproxy, each as it stands there but for addresses, ports and paths. They
// ask every two seconds, so one HAProxy series has to do for running them.

import assert from "node:assert/strict";
import { type AgentProcess, startAgent } from "../lab/agent/agent_process.ts";
import {
  type HealthBackend,
  type HealthBackendOptions,
  startHealthBackend,
} from "../lab/backends/libraries/health_backend.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { callThrough, HEALTH_CHECK } from "../lab/clients/call_through.ts";
import type { Haproxy } from "../lab/haproxy/haproxy.ts";
import { EXAMPLES, type PlacedExample, placeExample } from "../lab/haproxy/placed_examples.ts";
import { type StartHaproxy, testWithEachHaproxy } from "../lab/haproxy/test_with_haproxy.ts";
import { freePort } from "../lab/machine/free_port.ts";

const UP = { up: true, agentStatus: "L7OK" };
const DOWN = { up: false, status: "DOWN (agent)" };

testWithEachHaproxy("accepts every example without a warning", async (_start, executable) => {
  await using certificates = await exampleCertificates();
  for (const { name } of Deno.readDirSync(EXAMPLES)) {
    if (!name.endsWith(".cfg")) continue;
    const { configuration } = await placeExample(name, certificates.directory, 5555);
    const file = `${certificates.directory}/${name}`;
    await Deno.writeTextFile(file, configuration);
    const { code, stdout, stderr } = await new Deno.Command(executable, {
      args: ["-c", "-f", file],
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.deepEqual({ name, code, said }, { name, code: 0, said: "" });
  }
});

testExample("plain.cfg", async ({ example, start, backend }) => {
  await using one = await backend(7);
  await using _two = await backend(8);
  await using haproxy = await start();
  await haproxy.waitFor("api", "api1", UP);
  await haproxy.waitFor("api", "api2", UP);

  await one.setStatus("", "NOT_SERVING");
  await haproxy.waitFor("api", "api1", DOWN);
  await haproxy.waitFor("api", "api2", UP);
  const origin = `http://127.0.0.1:${example.frontendPort}`;
  assert.equal(await callThrough(origin, HEALTH_CHECK), 200);

  await one.setStatus("", "SERVING");
  await haproxy.waitFor("api", "api1", UP);
});

testExample("tls.cfg", async ({ example, certificates, start, backend }) => {
  const api = await certificates.issue("api", { names: ["api.internal"] });
  const other = await certificates.issue("other", { names: ["other.internal"] });
  const ledger = await certificates.issue("ledger", { names: ["ledger.internal"] });
  await using _one = await backend(7, { tls: api });
  await using _two = await backend(8, { tls: other });
  await using three = await backend(9, { tls: { ...ledger, clientCa: certificates.caFile } });
  await using haproxy = await start();
  await haproxy.waitFor("api", "api1", UP);
  await haproxy.waitFor("api", "api2", DOWN);
  await haproxy.waitFor("ledger", "ledger1", UP);
  const origin = `https://127.0.0.1:${example.frontendPort}`;
  const ca = await Deno.readTextFile(certificates.caFile);
  assert.equal(await callThrough(origin, HEALTH_CHECK, ca), 200);
  assert.equal(await callThrough(origin, "/ledger.v1.Ledger/Post", ca), 200);

  await three.setStatus("", "NOT_SERVING");
  await haproxy.waitFor("ledger", "ledger1", DOWN);
  assert.equal(await callThrough(origin, "/ledger.v1.Ledger/Post", ca), 503);
});

testExample("services.cfg", async ({ example, start, backend }) => {
  const services = {
    "": "SERVING",
    "orders.v1.Orders": "SERVING",
    "stock.v1.Stock": "SERVING",
  } as const;
  await using one = await backend(7, { services });
  await using two = await backend(8, {
    services: { ...services, "stock.v1.Stock": "NOT_SERVING" },
  });
  await using haproxy = await start();
  for (const [name, second] of [["orders", UP], ["stock", DOWN], ["server", UP]] as const) {
    await haproxy.waitFor(name, "api1", UP);
    await haproxy.waitFor(name, "api2", second);
  }
  assert.equal((await two.report()).connections, 1, "The agent asks on one connection");

  await one.setStatus("stock.v1.Stock", "NOT_SERVING");
  await haproxy.waitFor("stock", "api1", DOWN);
  await haproxy.waitFor("orders", "api1", UP);
  const origin = `http://127.0.0.1:${example.frontendPort}`;
  assert.equal(await callThrough(origin, "/stock.v1.Stock/Get"), 503);
  assert.equal(await callThrough(origin, "/orders.v1.Orders/Get"), 200);
  assert.equal(await callThrough(origin, HEALTH_CHECK), 200);
});

testExample("drain.cfg", async ({ example, start, backend }) => {
  await using one = await backend(7);
  await using two = await backend(8);
  await using haproxy = await start();
  await haproxy.waitFor("api", "api1", UP);
  await haproxy.waitFor("api", "api2", UP);

  await one.setStatus("", "NOT_SERVING");
  await two.kill();
  await haproxy.waitFor("api", "api1", { status: "DRAIN (agent)" });
  await haproxy.waitFor("api", "api2", DOWN);
  await one.setStatus("", "SERVING");
  await haproxy.waitFor("api", "api1", UP);

  const [toMaintenance = "", back = ""] = example.runtimeCommands;
  await haproxy.runtime(toMaintenance);
  await haproxy.stays("api", "api1", { status: "MAINT" }, 2500);
  await haproxy.runtime(back);
  await haproxy.waitFor("api", "api1", { up: true });
});

testExample("template.cfg", async ({ example, agent, start, backend }) => {
  await using one = await backend(7, { services: { "": "NOT_SERVING" } });
  await using haproxy = await start();
  await haproxy.waitFor("api", "api10", { status: "MAINT", agentStatus: "L7TOUT" });
  const places = await haproxy.stats("api");
  assert.deepEqual(places.map(({ status }) => status), Array(10).fill("MAINT"));
  assert.deepEqual(agent.logs.filter(({ level }) => level !== "info"), []);

  const fill = async () => {
    for (const command of example.runtimeCommands.slice(0, 4)) await haproxy.runtime(command);
  };
  await fill();
  const [place] = await haproxy.stats("api");
  assert.equal(place?.up, false, "It is not up before the agent has said so");
  await haproxy.waitFor("api", "api1", { ...DOWN, agentStatus: "L7STS" });
  await one.setStatus("", "SERVING");
  await haproxy.waitFor("api", "api1", UP);
  const origin = `http://127.0.0.1:${example.frontendPort}`;
  assert.equal(await callThrough(origin, HEALTH_CHECK), 200);

  await haproxy.runtime(example.runtimeCommands[4] ?? "");
  assert.equal((await haproxy.stats("api"))[0]?.status, "MAINT");
  assert.equal(await callThrough(origin, HEALTH_CHECK), 503);
  const asked = (await one.report()).checks;
  await haproxy.stays("api", "api1", { status: "MAINT" }, 2500);
  assert.equal((await one.report()).checks, asked, "Nobody asks any more");
  await fill();
  await haproxy.waitFor("api", "api1", UP);
});

/** What an example runs among. */
interface Surroundings {
  readonly example: PlacedExample;
  readonly agent: AgentProcess;
  readonly certificates: CertificateAuthority;
  /** Starts HAProxy with the example's text. */
  start(): Promise<Haproxy>;
  /** Starts the gRPC server that the example has at 10.0.3.`number`. */
  backend(number: number, options?: HealthBackendOptions): Promise<HealthBackend>;
}

/** Runs an example with an agent that has the settings which the example shows. */
function testExample(name: string, test: (surroundings: Surroundings) => Promise<void>): void {
  testWithEachHaproxy(`${name} does what it says`, async (startHaproxy: StartHaproxy) => {
    await using certificates = await exampleCertificates();
    const port = freePort();
    const example = await placeExample(name, certificates.directory, port);
    const settings = `${certificates.directory}/agent.toml`;
    await Deno.writeTextFile(settings, example.agentSettings);
    await using agent = await startAgent({ port, flags: ["--config", settings] });
    await test({
      example,
      agent,
      certificates,
      start: () => startHaproxy(example.configuration),
      backend: (number, options) =>
        startHealthBackend({
          host: `127.0.3.${number}`,
          port: example.backendPort,
          ...options,
        }),
    });
    assert.deepEqual(agent.faults(), []);
  }, ["3.2"]);
}

/** A folder with the certificates that the examples name. */
async function exampleCertificates(): Promise<CertificateAuthority> {
  const authority = await CertificateAuthority.create();
  const client = await authority.issue("client", { use: "client" });
  const site = await authority.issue("site", { names: ["site.test"] });
  const read = (path: string) => Deno.readTextFile(path);
  const write = (name: string, text: string) =>
    Deno.writeTextFile(`${authority.directory}/${name}`, text);
  await write("client.key", await read(client.key));
  await write("client.pem", await read(client.cert) + await read(client.key));
  await write("site.pem", await read(site.cert) + await read(site.key));
  return authority;
}
