import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { eventually } from "../lab/testing/eventually.ts";

/** Asks about the same server at another address: connections are kept by address. */
function askAt(agent: AgentProcess, port: number, host: number): Promise<string> {
  return agent.ask(`127.0.1.${host} ${port} no-ssl a.test\n`);
}

async function channels(agent: AgentProcess): Promise<number | undefined> {
  return (await agent.metrics()).get("grpc_channels_active");
}

Deno.test("max_channels keeps that many channels, the least recently used goes", async () => {
  await using backend = await startHealthBackend({ host: "0.0.0.0" });
  await withAgent({ flags: ["--max-channels", "2"] }, async (agent) => {
    const ask = (name: string) => askAt(agent, backend.port, name.charCodeAt(0));
    const connections = async () => (await backend.report()).connections;
    assert.deepEqual([await ask("a"), await ask("b")], ["up\n", "up\n"]);
    assert.equal(await connections(), 2);
    assert.equal(await ask("a"), "up\n");
    assert.equal(await ask("c"), "up\n"); // b goes
    await eventually("b's channel to be closed", async () => await channels(agent) === 2);
    assert.equal(await ask("a"), "up\n");
    assert.equal(await connections(), 3, "a was kept");
    assert.equal(await ask("b"), "up\n");
    assert.equal(await connections(), 4, "b was not");
    assert.equal(await channels(agent), 2);
  });
});

Deno.test("more checks at once than max_channels are all answered, and then the channels are as many as may be", async () => {
  await using backend = await startHealthBackend({ host: "0.0.0.0", delayMs: 50 });
  await withAgent({ flags: ["--max-channels", "5"] }, async (agent) => {
    // Those beyond the five wait their turn, inside their deadline.
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) => askAt(agent, backend.port, index + 1)),
    );
    assert.deepEqual(new Set(answers), new Set(["up\n"]));
    await eventually("5 channels", async () => await channels(agent) === 5);
    await eventually("their sockets to be closed", () => agent.socketsTo(backend.port) === 5);
  });
});

Deno.test("a channel that is unused for channel_idle_timeout_ms is closed, one in use is not", async () => {
  await using used = await startHealthBackend();
  await using unused = await startHealthBackend();
  await withAgent({ flags: ["--channel-idle-timeout", "1000"] }, async (agent) => {
    assert.equal(await agent.ask(unused.line()), "up\n");
    assert.equal(await agent.ask(used.line()), "up\n");
    assert.equal(await channels(agent), 2);
    await eventually("the unused one to be closed", async () => {
      assert.equal(await agent.ask(used.line()), "up\n");
      return await channels(agent) === 1;
    }, { everyMs: 100 });
    assert.equal((await used.report()).connections, 1);
    assert.equal(await agent.ask(unused.line()), "up\n");
    assert.equal((await unused.report()).connections, 2);
    await eventually("all to be closed", async () => await channels(agent) === 0);
  });
});

Deno.test("without the channel cache each check has a connection of its own, which goes with it", async () => {
  await using backend = await startHealthBackend();
  const flags = ["--grpc-channel-cache", "false", "--coalesce-checks", "false"];
  await withAgent({ flags }, async (agent) => {
    for (let check = 0; check < 10; check++) assert.equal(await agent.ask(backend.line()), "up\n");
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => agent.ask(backend.line())),
    );
    assert.deepEqual(new Set(answers), new Set(["up\n"]));
    assert.equal((await backend.report()).connections, 20);
    await eventually("no channel", async () => await channels(agent) === 0);
    await eventually("no socket more", () => agent.socketsTo(backend.port) === 0);
  });
});
