// `grpc_client = "grpc-js"`: the library's client in the place of the agent's own, loaded only then.

import assert from "node:assert/strict";
import { runArguments } from "../../../tools/packaging/run_arguments.ts";
import type { AgentProcess } from "../../lab/agent/agent_process.ts";
import { checkJson, runAgent } from "../../lab/agent/run_agent.ts";
import { withAgent } from "../../lab/agent/with_agent.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../../lab/backends/libraries/health_backend.ts";
import { silent, stallingTls } from "../../lab/backends/peers/tcp_peers.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import { freePort } from "../../lab/machine/free_port.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { ROOT } from "../../lab/testing/repository.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";

const CLIENTS = ["native", "grpc-js"] as const;
type Client = (typeof CLIENTS)[number];

const BUNDLE = `${ROOT}dist/bundle/haproxy-grpc-agent.mjs`;
const GRPC_JS = "haproxy-grpc-agent-grpc-js.mjs";

/** The client that made the last call: grpc-js adds its own name to the agent's. */
async function lastClient(backend: HealthBackend): Promise<Client | undefined> {
  const agent = (await backend.report()).recent.at(-1)?.metadata["user-agent"];
  if (agent === undefined) return undefined;
  return agent.includes("grpc-node-js") ? "grpc-js" : "native";
}

async function openChannels(agent: AgentProcess): Promise<number | undefined> {
  return (await agent.metrics()).get("grpc_channels_active");
}

for (const client of CLIENTS) {
  Deno.test(`the daemon, check and ready use the client ${client}`, async () => {
    await using backend = await startHealthBackend({
      services: { "": "SERVING", "a.B": "NOT_SERVING" },
    });
    const line = backend.line({ service: "a.B" });
    await withAgent({ flags: ["--grpc-client", client] }, async (agent) => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      assert.equal(await agent.ask(line), "down\n");
      assert.equal(await lastClient(backend), client);
      const { code, stdout } = await runAgent([
        ...["ready", "--grpc-client", client, "--metrics-port", `${agent.metricsPort}`],
      ]);
      assert.deepEqual([code, stdout], [0, ["ready"]]);
    });
    const up = await checkJson(["--grpc-client", client, ...backend.line().trim().split(" ")]);
    assert.deepEqual([up.code, up.verdict], [0, "serving"]);
    const down = await checkJson(["--grpc-client", client, ...line.trim().split(" ")]);
    assert.deepEqual([down.code, down.verdict, down.detail], [1, "not_serving", "NOT_SERVING"]);
    assert.equal(await lastClient(backend), client);
  });
}

Deno.test({
  name: "without grpc-js's file the native client works, and grpc-js is refused at the start",
  // In an executable both are one file.
  ignore: Deno.env.has("AGENT"),
  async fn() {
    assert.doesNotMatch(await Deno.readTextFile(BUNDLE), /node:http2|grpc-node-js/);
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issueServer("a.test");
    await using plain = await startHealthBackend();
    await using secured = await startHealthBackend({ tls });
    await using folder = await TempDirectory.create();
    await Deno.copyFile(BUNDLE, `${folder.path}/agent.mjs`);
    const run = async (args: readonly string[]) => {
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [...runArguments(), `${folder.path}/agent.mjs`, ...args],
      }).output();
      return { code, stderr: new TextDecoder().decode(stderr) };
    };
    const check = (backend: HealthBackend, client: Client) => [
      ...["check", "--grpc-client", client, "--tls-ca-file", authority.caFile],
      ...backend.line({ authority: "a.test" }).trim().split(" "),
    ];
    assert.deepEqual(await run(check(plain, "native")), { code: 0, stderr: "" });
    assert.deepEqual(await run(check(secured, "native")), { code: 0, stderr: "" });

    const refused = await run(check(plain, "grpc-js"));
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /^haproxy-grpc-agent: grpc_client: grpc-js cannot be loaded: /);
    const daemon = await run(["--grpc-client", "grpc-js", "--server-port", `${freePort()}`]);
    assert.equal(daemon.code, 1);
    assert.match(daemon.stderr, /grpc_client: grpc-js cannot be loaded/);

    await Deno.copyFile(`${ROOT}dist/bundle/${GRPC_JS}`, `${folder.path}/${GRPC_JS}`);
    assert.deepEqual(await run(check(secured, "grpc-js")), { code: 0, stderr: "" });
  },
});

Deno.test("SIGHUP goes from one client to the other and back; calls under way end as they began", async () => {
  await using slow = await startHealthBackend({ delayMs: 700 });
  await using directory = await TempDirectory.create();
  const use = (client: Client) => directory.write("agent.toml", `grpc_client = "${client}"\n`);
  const config = await use("native");
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    const [first, second] = ["a.test", "b.test"].map((authority) => slow.line({ authority }));
    for (const [before, after] of [["native", "grpc-js"], ["grpc-js", "native"]] as const) {
      const { calls } = await slow.report();
      const underWay = agent.ask(first ?? "");
      await eventually("the check to begin", async () => (await slow.report()).calls > calls);
      assert.equal(await lastClient(slow), before);
      await use(after);
      const entries = await agent.reload();
      assert.deepEqual(entries.at(-1)?.changed, ["grpc_client"]);
      assert.equal(await agent.ask(second ?? ""), "up\n");
      assert.equal(await lastClient(slow), after);
      assert.equal(await underWay, "up\n");
      await eventually("the other's connections to be closed", async () => {
        return await openChannels(agent) === 1;
      });
    }
  });
});

Deno.test("peers that let grpc-js wait while it connects cost no descriptor in the end", async () => {
  await using tcp = silent();
  await using tls = stallingTls();
  const flags = ["--grpc-client", "grpc-js", "--check-timeout", "300"];
  await withAgent({ flags: [...flags, "--grpc-connect-timeout", "200"] }, async (agent) => {
    for (let check = 0; check < 5; check++) {
      const replies = await Promise.all([
        agent.ask(`127.0.0.1 ${tcp.port} no-ssl a.test\n`),
        agent.ask(`127.0.0.1 ${tls.port} ssl a.test\n`),
      ]);
      // None where the agent itself was held up.
      for (const reply of replies) assert.ok(["down\n", ""].includes(reply), reply);
    }
    await eventually("the sockets to be closed", () => {
      return agent.socketsTo(tcp.port) + agent.socketsTo(tls.port) === 0;
    }, { timeoutMs: 10_000 });
    assert.equal(await openChannels(agent), 0);
  });
});

Deno.test("grpc-js's channels beyond max_channels are closed, and those that nobody uses", async () => {
  await using one = await startHealthBackend();
  await using other = await startHealthBackend();
  const untilClosed = (agent: AgentProcess, what: string, { port }: HealthBackend) =>
    eventually(what, () => agent.socketsTo(port) === 0, { timeoutMs: 10_000 });
  const flags = ["--grpc-client", "grpc-js"];
  await withAgent({ flags: [...flags, "--max-channels", "1"] }, async (agent) => {
    for (const backend of [one, other, one, other]) {
      assert.equal(await agent.ask(backend.line()), "up\n");
    }
    await untilClosed(agent, "the limit to hold", one);
    assert.equal(agent.socketsTo(other.port), 1);
    assert.equal(await openChannels(agent), 1);
  });
  await withAgent({ flags: [...flags, "--channel-idle-timeout", "1000"] }, async (agent) => {
    assert.equal(await agent.ask(one.line()), "up\n");
    await untilClosed(agent, "the idle one to go", one);
    assert.equal(await openChannels(agent), 0);
  });
});
