import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";

const BUGS = new URL("../lab/agent/preload/bugs_on_signal.ts", import.meta.url).pathname;

const LOGGED = [
  { message: "Uncaught exception", stack: /^Error: thrown in a timer\n +at / },
  { message: "Unhandled rejection", stack: /^Error: rejected\n +at / },
];

Deno.test("an exception that nothing catches is logged and counted, and the agent lives on", async () => {
  await using backend = await startHealthBackend();
  await using agent = await startAgent({ preload: BUGS });
  assert.equal(await agent.ask(backend.line()), "up\n");
  agent.signal("SIGUSR2");
  for (const { message, stack } of LOGGED) {
    const entry = await agent.waitForLog("of the bug", (entry) => entry.message === message);
    assert.equal(entry.level, "error");
    assert.match(String(entry.error), stack);
  }
  const metrics = await agent.metrics();
  assert.equal(metrics.get('check_errors_total{error_type="internal"}'), 2);
  assert.equal(await agent.ask(backend.line()), "up\n");
  assert.equal((await agent.stop()).code, 0);
});
