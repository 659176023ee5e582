// A limit of processes (pids.max, ulimit -u) counts threads, too.

import assert from "node:assert/strict";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { namesProblem, withOwnNames } from "../lab/machine/own_names.ts";
import { succeeds, testThatNeeds } from "../lab/testing/test_that_needs.ts";

/** To whom no process is given beyond the limit, unlike root; it may read Deno wherever that is. */
const AS_USER = [
  "setpriv",
  ...["--reuid=65534", "--regid=65534", "--clear-groups"],
  ...["--inh-caps=+dac_override", "--ambient-caps=+dac_override"],
] as const;

const missing = succeeds(...AS_USER, "prlimit", "--version")
  ? namesProblem()
  : "it takes root, and setpriv and prlimit of Debian's util-linux";

/** After so long without work Tokio ends a thread of its pool, in milliseconds. */
const IDLE_MS = 10_000;

const NAMES = Array.from({ length: 20 }, (_, index) => `host-${index}.test`);

testThatNeeds(
  { missing },
  "where no more threads can be had names are looked up, many at once too, and lines are logged",
  async () => {
    await using backend = await startHealthBackend();
    const hosts = Object.fromEntries(NAMES.map((name) => [name, ["127.0.0.1"]]));
    await withOwnNames(hosts, async (withNames) => {
      await withAgent({ wrapper: [...withNames, ...AS_USER] }, async (agent) => {
        // Nobody can see from outside that a thread is kept; only that none has gone when all would have.
        await new Promise((resolve) => setTimeout(resolve, IDLE_MS + 2000));
        assert.ok(succeeds(...AS_USER, "prlimit", `--pid=${agent.pid}`, "--nproc=1"));
        const lines = NAMES.map((name) => `${name} ${backend.port} no-ssl a.test\n`);
        const answers = await Promise.all(lines.map((line) => agent.ask(line)));
        assert.deepEqual(new Set(answers), new Set(["up\n"]));
        await agent.waitForLog("of a check", ({ message }) => message === "Check answered");
      });
    });
  },
);
