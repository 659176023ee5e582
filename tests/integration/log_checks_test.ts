import assert from "node:assert/strict";
import type { AgentProcess, LogEntry } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../lab/backends/libraries/health_backend.ts";
import { askOften } from "../lab/clients/ask.ts";
import { eventually } from "../lab/testing/eventually.ts";

const isOfCheck = ({ message }: LogEntry) => message === "Check answered";

/** 2000 checks in three parts, of which the one in the middle is answered with another word. */
async function askTwoThousandTimes(agent: AgentProcess, backend: HealthBackend): Promise<void> {
  const line = backend.line();
  await askOften(agent, line, "up\n", 800);
  await backend.setStatus("", "NOT_SERVING");
  await askOften(agent, line, "down\n", 400);
  await backend.setStatus("", "SERVING");
  await askOften(agent, line, "up\n", 800);
}

for (
  const { logChecks, expected } of [
    { logChecks: "all", expected: 2000 },
    { logChecks: "changes", expected: 3 },
    { logChecks: "none", expected: 0 },
  ]
) {
  Deno.test(`of 2000 checks with two changes, log_checks = ${logChecks} logs ${expected}`, async () => {
    await using backend = await startHealthBackend();
    await withAgent({ flags: ["--log-checks", logChecks] }, async (agent) => {
      await askTwoThousandTimes(agent, backend);
      // Whatever comes before this one has come when it has.
      await agent.ask("the last line\n");
      await agent.waitForLog("of the last line", ({ line }) => line === "the last line");
      const logged = agent.logs.filter(isOfCheck);
      assert.equal(logged.length, expected);
      assert.equal(new Set(logged.map(({ trace_id }) => trace_id)).size, expected);
      if (logChecks === "changes") {
        assert.deepEqual(logged.map(({ status }) => status), ["up", "down", "up"]);
      }
      assert.equal((await agent.metrics()).get('check_requests_total{result="up"}'), 1600);
    });
  });
}

Deno.test("a failing backend is told once at error, with what failed and where, and then at debug", async () => {
  await using backend = await startHealthBackend();
  await backend.kill();
  await withAgent({ flags: ["--log-level", "debug", "--log-checks", "none"] }, async (agent) => {
    const isOfBackend = (entry: LogEntry) => entry.backend === backend.address;
    for (let check = 0; check < 5; check++) assert.equal(await agent.ask(backend.line()), "down\n");
    await eventually("five entries", () => agent.logs.filter(isOfBackend).length === 5);
    const [first, ...others] = agent.logs.filter(isOfBackend);
    assert.equal(first?.level, "error");
    assert.equal(first?.error_type, "backend_unreachable");
    assert.match(String(first?.error), /ECONNREFUSED/);
    assert.deepEqual(others.map(({ level }) => level), ["debug", "debug", "debug", "debug"]);
  });
});
