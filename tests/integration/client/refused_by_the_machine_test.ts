// Connections that the kernel refuses to begin: a firewall, a route, a Service without endpoints. They are about
// the destination, not a lack of the agent, so the answer is `down` at once, and the reason has the errno.

import assert from "node:assert/strict";
import { checkJson } from "../../lab/agent/run_agent.ts";
import { counting, withAgent } from "../../lab/agent/with_agent.ts";
import { startHealthBackend } from "../../lab/backends/libraries/health_backend.ts";
import { testWithOwnNetwork } from "../../lab/machine/own_network.ts";
import { ROOT } from "../../lab/testing/repository.ts";
import { testThatNeeds } from "../../lab/testing/test_that_needs.ts";

/** Kinds of routing rules, and the errno with which the kernel refuses to connect. */
const RULES = [
  ["prohibit", /EACCES|os error 13\b/],
  ["blackhole", /EINVAL|os error 22\b/],
  ["unreachable", /ENETUNREACH|EHOSTUNREACH|os error 1(01|13)\b/],
] as const;

/** Long before a timer ends the check. */
const SOON_MS = 800;

const port = (index: number) => 7001 + index;

testWithOwnNetwork(
  "a target to which a rule of the machine forbids connections is down at once, and the reason has the errno",
  {},
  [
    "ip rule add pref 100 lookup local",
    "ip rule del pref 0",
    ...RULES.map(([kind], index) => `ip rule add pref 5${index} dport ${port(index)} ${kind}`),
  ].join(" && "),
  async ({ wrapper }) => {
    for (const [index, [kind, errno]] of RULES.entries()) {
      for (const flag of ["no-ssl", "ssl"]) {
        const args = ["127.0.0.1", `${port(index)}`, flag, "backend.test"];
        const check = await checkJson(args, {}, wrapper);
        assert.equal(check.reply, "down", kind);
        assert.match(check.verdict, /unreachable$/, kind);
        assert.match(check.detail, errno, kind);
        assert.ok(check.duration_ms < SOON_MS, `${kind}: ${check.duration_ms} ms`);
      }
    }
    // Others are not concerned.
    await using backend = await startHealthBackend({}, wrapper);
    const args = ["127.0.0.1", `${backend.port}`, "no-ssl", "backend.test"];
    assert.equal((await checkJson(args, {}, wrapper)).reply, "up");
  },
);

const EPERM = 1;
const EACCES = 13;

for (
  const [name, errno, number] of [["EPERM", /EPERM|os error 1\b/, EPERM], [
    "EACCES",
    /EACCES|os error 13\b/,
    EACCES,
  ]] as const
) {
  testThatNeeds(
    { missing: seccompProblem() },
    `an address to which connecting is refused with ${name} is down each time, with the errno, and others are up`,
    async () => {
      await using refused = await startHealthBackend({ host: "[::1]" });
      await using allowed = await startHealthBackend();
      const wrapper = ["python3", SECCOMP, `${number}`];
      await withAgent({ wrapper, flags: ["--reply-reason", "true"] }, async (agent) => {
        const counted = await counting(agent, 6, async () => {
          for (let round = 0; round < 3; round++) {
            const { reply, ms } = await agent.askTimed(refused.line());
            assert.match(reply, /^down #backend_unreachable: /);
            assert.match(reply, errno);
            assert.ok(ms < SOON_MS, `The answer took ${Math.round(ms)} ms`);
            assert.match(await agent.ask(allowed.line()), /^up\b/);
          }
        });
        assert.deepEqual(counted, { up: 3, error: 3, "backend_unreachable": 3 });
      });
    },
  );
}

const SECCOMP = `${ROOT}tests/lab/machine/errno_on_connect.py`;

function seccompProblem(): string | undefined {
  try {
    const args = [`${ROOT}tests/lab/machine/errno_on_connect.py`, "1", "true"];
    if (new Deno.Command("python3", { args }).outputSync().success) return undefined;
  } catch {
    // Not even the program is there.
  }
  return "it takes Python and a kernel with seccomp to let the kernel refuse connections";
}
