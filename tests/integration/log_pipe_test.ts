import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { askOften } from "../lab/clients/ask.ts";
import { eventually, within } from "../lab/testing/eventually.ts";

const DROPPED = "haproxy_grpc_agent_log_dropped_total";

/** The default of shutdown_timeout_ms. */
const SHUTDOWN_MS = 2500;

/** Has the agent's stderr go to a named pipe. */
function intoPipe(path: string): string[] {
  return ["sh", "-c", 'exec "$@" 2>"$0"', path];
}

async function withPipe(test: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/pipe`;
    await new Deno.Command("mkfifo", { args: [path] }).output();
    await test(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("while nobody reads stderr checks go on, and SIGTERM ends the agent in time", async () => {
  await using backend = await startHealthBackend();
  await withPipe(async (path) => {
    // Open for reading and writing, so that the pipe has a reader that reads only when it is told to.
    using pipe = await Deno.open(path, { read: true, write: true });
    await using agent = await startAgent({
      wrapper: intoPipe(path),
      flags: ["--log-level", "trace"],
    });
    // The pipe holds 64 KiB, the agent 1 Mi characters; each of these entries more than 600.
    const line = backend.line({
      service: "s".repeat(200),
      authority: `${"a".repeat(60)}.`.repeat(4),
    });
    assert.ok(await askOften(agent, line, "down\n", 2000) < 1000);
    const dropped = (await agent.metrics()).get(DROPPED) ?? 0;
    assert.ok(dropped > 0, `${dropped} lines dropped`);

    await readUntil(pipe, /"message":"Log lines were lost[^\n]*"count":(\d+)/);
    const afterwards = (await agent.metrics()).get(DROPPED) ?? 0;
    assert.ok(await askOften(agent, backend.line(), "up\n", 10) < 1000);
    assert.equal((await agent.metrics()).get(DROPPED), afterwards);

    assert.ok(await askOften(agent, line, "down\n", 200) < 1000);
    const start = performance.now();
    agent.signal("SIGTERM");
    const { code } = await within("the agent to end", 2 * SHUTDOWN_MS, agent.exited);
    assert.equal(code, 0);
    assert.ok(performance.now() - start < SHUTDOWN_MS);
  });
});

/** Reads the pipe until something has come. */
async function readUntil(pipe: Deno.FsFile, wanted: RegExp): Promise<void> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  let text = "";
  while (!wanted.test(text)) {
    const count = await within(`${wanted} in the log`, 5000, pipe.read(buffer)) ?? 0;
    text = text.slice(-1000) + decoder.decode(buffer.subarray(0, count), { stream: true });
  }
}

Deno.test("where the reader of stderr has gone checks go on, and the lines are counted", async () => {
  await using backend = await startHealthBackend();
  await withPipe(async (path) => {
    const opening = Deno.open(path, { read: true });
    await using agent = await startAgent({ wrapper: intoPipe(path) });
    (await opening).close();
    assert.ok(await askOften(agent, backend.line(), "up\n", 100) < 1000);
    await eventually(
      "the lines to be counted",
      async () => ((await agent.metrics()).get(DROPPED) ?? 0) >= 99,
    );
    assert.equal((await agent.stop()).code, 0);
  });
});
