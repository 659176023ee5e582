import assert from "node:assert/strict";
import { type LogEntry, startAgent } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { within } from "../lab/testing/eventually.ts";

const COMPONENTS = ["main", "config", "server", "protocol", "checker", "metrics"];
/** shutdown_timeout_ms by default. */
const SHUTDOWN_MS = 2500;
const LEVELS = ["trace", "debug", "info", "warn", "error"];

Deno.test("every line of the log is an entry with time, level, component and message", async () => {
  await using backend = await startHealthBackend();
  await using agent = await startAgent({ flags: ["--log-level", "trace"] });
  assert.equal(await agent.ask(backend.line()), "up\n");
  assert.equal(await agent.ask("nonsense\n"), "down\n");
  await backend.kill();
  assert.equal(await agent.ask(backend.line()), "down\n");
  await agent.stop();
  assert.deepEqual(agent.otherLines, []);
  assert.ok(agent.logs.length >= 5, `Only ${agent.logs.length} entries`);
  for (const entry of agent.logs) {
    assert.match(entry.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.ok(LEVELS.includes(entry.level), entry.level);
    assert.ok(COMPONENTS.includes(entry.component), entry.component);
    assert.equal(typeof entry.message, "string");
  }
});

Deno.test("a check's entry tells what was asked and what was answered", async () => {
  await using backend = await startHealthBackend({ services: { "a.Service": "NOT_SERVING" } });
  await withAgent({}, async (agent) => {
    await agent.ask(backend.line({ authority: "api.test", service: "a.Service" }));
    const entry = await agent.waitForLog(
      "of the check",
      (entry) => isOf(entry, backend.address) && entry.duration_ms !== undefined,
    );
    assert.equal(entry.level, "info");
    assert.match(entry.trace_id ?? "", /^[0-9a-f]{32}$/);
    assert.match(String(entry.peer), /^127\.0\.0\.1:\d+$/);
    assert.equal(entry.ssl_flag, "no-ssl");
    assert.equal(entry.authority, "api.test");
    assert.equal(entry.service, "a.Service");
    assert.ok(Object.values(entry).includes("NOT_SERVING"), JSON.stringify(entry));
  });
});

Deno.test("a backend that stays unreachable is told once as an error, and again after it was up", async () => {
  await using backend = await startHealthBackend();
  await withAgent({}, async (agent) => {
    for (let outage = 1; outage <= 2; outage++) {
      assert.equal(await agent.ask(backend.line()), "up\n");
      await backend.kill();
      for (let check = 0; check < 5; check++) {
        assert.equal(await agent.ask(backend.line()), "down\n");
      }
      await backend.start();
      assert.equal(await agent.ask(backend.line()), "up\n");
      const errors = agent.logs.filter((entry) =>
        entry.level === "error" && isOf(entry, backend.address)
      );
      assert.equal(errors.length, outage, JSON.stringify(errors));
      for (const { error_type } of errors) assert.equal(error_type, "backend_unreachable");
    }
  });
});

Deno.test("what comes from the wire cannot forge an entry", async () => {
  await withAgent({}, async (agent) => {
    const forged = 'x"}\u001b[31m {"level":"error","component":"main","message":"forged"}';
    assert.equal(await agent.ask(`${forged}\n`), "down\n");
    const entry = await agent.waitForLog("of the line", ({ level }) => level === "warn");
    assert.notEqual(entry.message, "forged");
    assert.ok(!agent.stderr.some((line) => line.includes("\u001b")));
    assert.deepEqual(agent.otherLines, []);
  });
});

/** What stderr of the agent can be: a full disk, a pipe whose reader has gone, and one that reads not. */
const DESTINATIONS = {
  "that is full": 'exec "$@" 2>/dev/full',
  "whose reader has gone": 'mkfifo "$0"; (: <"$0") & exec "$@" 2>"$0"',
  "whose reader has stopped": 'mkfifo "$0"; exec 3<>"$0"; exec "$@" 2>&3',
};

for (const [what, script] of Object.entries(DESTINATIONS)) {
  Deno.test(`a log destination ${what} stops no check and no shutdown`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "log-" });
    try {
      await using backend = await startHealthBackend();
      const wrapper = ["sh", "-c", script, `${directory}/pipe`];
      await using agent = await startAgent({ wrapper });
      using client = await agent.connect();
      // Far more log lines than a pipe holds (64 KiB).
      for (let check = 0; check < 2000; check++) {
        assert.equal(await client.ask(backend.line()), "up\n");
      }
      assert.deepEqual(agent.stderr, []);
      agent.signal("SIGTERM");
      assert.equal((await within("the agent to end", SHUTDOWN_MS, agent.exited)).code, 0);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

function isOf(entry: LogEntry, backend: string): boolean {
  return entry.backend === backend;
}
