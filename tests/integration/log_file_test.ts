import assert from "node:assert/strict";
import { type LogEntry, startAgent } from "../lab/agent/agent_process.ts";
import { entriesOf, logTo, testWithFolder, waitForEntry } from "../lab/agent/log_file.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";
import { succeeds, testThatNeeds } from "../lab/testing/test_that_needs.ts";

const PRLIMIT_PROBLEM = succeeds("prlimit", "--version")
  ? undefined
  : "prlimit is missing: install Debian's util-linux";

const isInvalidLine = ({ message }: LogEntry) => message === "Invalid line";

testWithFolder(
  "the log goes to the file alone, whose folder is made, after what stands there from before",
  async (folder) => {
    const path = `${folder}/made/by/the/agent.log`;
    for (let start = 1; start <= 2; start++) {
      await using agent = await startAgent({ mayWrite: folder, flags: logTo(path) });
      assert.equal(await agent.ask("nonsense\n"), "down\n");
      assert.equal((await agent.stop()).code, 0);
      assert.deepEqual(agent.stderr, []);
      const messages = (await entriesOf(path)).map(({ message }) => message);
      for (const message of ["Starting", "Invalid line"]) {
        assert.equal(messages.filter((one) => one === message).length, start, message);
      }
      assert.equal(messages.at(-1), "Stopped");
    }
  },
);

testWithFolder(
  "with daily rotation the log file carries the day, and the newest ones stay",
  async (folder) => {
    for (const day of ["2020-01-01", "2020-01-02", "2020-01-03"]) {
      await Deno.writeTextFile(`${folder}/agent.log.${day}`, "");
    }
    const before = today();
    const rotation = ["--log-file-rotation", "daily", "--log-file-max-files", "2"];
    const flags = logTo(`${folder}/agent.log`, ...rotation);
    await withAgent({ mayWrite: folder, flags }, async () => {
      let names: string[] = [];
      await eventually("the old files to go", async () => {
        names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
        return names.length === 2;
      });
      assert.equal(names[0], "agent.log.2020-01-03");
      const days = [before, today()].map((day) => `agent.log.${day}`);
      assert.ok(days.includes(names[1] ?? ""), String(names));
    });
  },
);

testWithFolder(
  "log files that a clock ahead of its time has left go before those of the last days",
  async (folder) => {
    const yesterday = `agent.log.${dayAfter(-1)}`;
    for (const name of [yesterday, "agent.log.2999-12-30", "agent.log.2999-12-31"]) {
      await Deno.writeTextFile(`${folder}/${name}`, "");
    }
    const rotation = ["--log-file-rotation", "daily", "--log-file-max-files", "2"];
    const flags = logTo(`${folder}/agent.log`, ...rotation);
    await withAgent({ mayWrite: folder, flags }, async () => {
      const names = await eventually("the files that are too many to go", async () => {
        const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
        return names.length === 2 ? names : undefined;
      });
      assert.equal(names[0], yesterday);
    });
  },
);

testThatNeeds(
  {
    missing: Deno.env.has("AGENT")
      ? "an executable may write only where it was built for"
      : PRLIMIT_PROBLEM,
  },
  "at a limit of a file's size the log goes to stderr, and once it is lifted to the file again",
  async () => {
    await using backend = await startHealthBackend();
    await using folder = await TempDirectory.create();
    const path = `${folder.path}/agent.log`;
    await using agent = await startAgent({ mayWrite: folder.path, flags: logTo(path) });
    const limit = (bytes: string) => {
      assert.ok(succeeds("prlimit", `--pid=${agent.pid}`, `--fsize=${bytes}:unlimited`));
    };
    limit("20000");
    await eventually("the log to come to stderr", async () => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      return agent.logs.some(({ message }) => message === "Check answered");
    });
    assert.equal((await Deno.stat(path)).size, 20_000);
    limit("unlimited");
    await eventually("the log to go to the file again", async () => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      return /The log file can be written again/.test(await Deno.readTextFile(path));
    }, { everyMs: 200 });
    assert.equal((await agent.metrics()).get("haproxy_grpc_agent_log_dropped_total"), 0);
    assert.equal((await agent.stop()).code, 0);
    const errors = agent.logs.filter(({ level }) => level === "error");
    assert.equal(errors.length, 1, JSON.stringify(errors));
    assert.match(String(errors[0]?.error), /File too large/);
  },
);

function dayAfter(days: number): string {
  return new Date(Date.now() + days * 24 * 60 * 60 * 1000).toISOString().slice(0, 10);
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

testWithFolder("a log file that was moved away begins anew at SIGHUP", async (folder) => {
  const path = `${folder}/agent.log`;
  await withAgent({ mayWrite: folder, flags: logTo(path) }, async (agent) => {
    await waitForEntry(path, /^Starting$/);
    await Deno.rename(path, `${path}.1`);
    agent.signal("SIGHUP");
    await waitForEntry(path, /^Configuration read again$/);
    await agent.ask("nonsense\n");
    await waitForEntry(path, /^Invalid line$/);
    assert.ok(!(await entriesOf(`${path}.1`)).some(isInvalidLine));
  });
});

testWithFolder(
  "while the log's folder is gone its lines go to stderr, which is told once",
  async (parent) => {
    const folder = `${parent}/log`;
    const path = `${folder}/agent.log`;
    await Deno.mkdir(folder);
    await using agent = await startAgent({ mayWrite: folder, flags: logTo(path) });
    await waitForEntry(path, /^Starting$/);
    await Deno.remove(folder, { recursive: true });
    await eventually("stderr to be used", async () => {
      assert.equal(await agent.ask("nonsense\n"), "down\n");
      return agent.logs.filter(isInvalidLine).length >= 10;
    }, { everyMs: 200 });
    await Deno.mkdir(folder);
    await eventually("the file to be used again", async () => {
      assert.equal(await agent.ask("nonsense\n"), "down\n");
      return (await entriesOf(path)).some(isInvalidLine);
    }, { everyMs: 200 });
    await waitForEntry(path, /^The log file can be written again$/);
    assert.equal((await agent.stop()).code, 0);
    const told = agent.logs.filter(({ level }) => level === "error");
    assert.equal(told.length, 1, JSON.stringify(told));
    assert.match(told[0]?.message ?? "", /^The log file cannot be written/);
    assert.match(String(told[0]?.error), /NotFound/);
  },
);
