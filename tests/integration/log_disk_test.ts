import assert from "node:assert/strict";
import { type LogEntry, startAgent } from "../lab/agent/agent_process.ts";
import { logTo } from "../lab/agent/log_file.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { fillDisk, LOG_FOLDER, onDiskOf, testWithSmallDisk } from "../lab/machine/small_disk.ts";
import { eventually } from "../lab/testing/eventually.ts";

const isOfCheck = ({ message }: LogEntry) => message === "Check answered";

testWithSmallDisk(
  "while the disk is full the log goes to stderr, and later to the file again",
  async (wrapper) => {
    await using backend = await startHealthBackend();
    const path = `${LOG_FOLDER}/agent.log`;
    await using agent = await startAgent({ wrapper, flags: logTo(path) });
    const file = onDiskOf(agent, path);
    using client = await agent.connect();
    const ask = async (count: number) => {
      for (let index = 0; index < count; index++) {
        assert.equal(await client.ask(backend.line(), 1000), "up\n");
      }
    };
    await ask(10);
    const free = await fillDisk(agent);
    await ask(500);
    await eventually("each check to be logged in one place", async () => {
      const { entries } = await read(file);
      return entries.filter(isOfCheck).length + agent.logs.filter(isOfCheck).length === 510;
    });
    await free();
    await eventually("the file to be used again", async () => {
      await ask(1);
      return (await read(file)).entries.some(({ message }) => /written again/.test(message));
    }, { everyMs: 200 });
    await ask(10);
    await eventually("the last checks to be in the file", async () => {
      const { entries } = await read(file);
      return entries.slice(-10).every(isOfCheck);
    });
    assert.ok((await read(file)).broken.length <= 1);
    const errors = agent.logs.filter(({ level }) => level === "error");
    assert.equal(errors.length, 1, JSON.stringify(errors));
    assert.match(String(errors[0]?.error), /No space left/);
    assert.equal((await agent.metrics()).get("haproxy_grpc_agent_log_dropped_total"), 0);
    assert.equal((await agent.stop()).code, 0);
  },
);

/** Reads a log file, apart the line in whose middle the disk got full; stderr has that one whole. */
async function read(path: string): Promise<{ entries: LogEntry[]; broken: string[] }> {
  const entries: LogEntry[] = [];
  const broken: string[] = [];
  for (const line of (await Deno.readTextFile(path)).split("\n").filter((line) => line !== "")) {
    try {
      entries.push(JSON.parse(line));
    } catch {
      broken.push(line);
    }
  }
  return { entries, broken };
}
