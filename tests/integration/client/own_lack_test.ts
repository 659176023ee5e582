// What the agent or its machine lacks, whatever the destination: such a check is `local`. It is answered by the
// last real answer, or not at all, never `down`, and nothing of it is counted for or against the backend.

import assert from "node:assert/strict";
import type { AgentProcess } from "../../lab/agent/agent_process.ts";
import { LONG_DEADLINES } from "../../lab/agent/agent_process.ts";
import { checkJson } from "../../lab/agent/run_agent.ts";
import { counting, withAgent } from "../../lab/agent/with_agent.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../../lab/backends/libraries/health_backend.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import { freePort } from "../../lab/machine/free_port.ts";
import { openDoors } from "../../lab/machine/network_door.ts";
import { testWithOwnNetwork } from "../../lab/machine/own_network.ts";
import { FEW_PORTS, takePorts } from "../../lab/machine/taken_ports.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { PROMTOOL, promtool } from "../../lab/testing/promtool.ts";
import { ROOT } from "../../lab/testing/repository.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";
import { testThatNeeds } from "../../lab/testing/test_that_needs.ts";

const NO_PORT = /^EADDRNOTAVAIL: no local port is left towards this address/;

/** Each check connects, so that each needs a local port. */
const CONNECT_EACH_TIME = ["--grpc-channel-cache", "false", ...LONG_DEADLINES];

const UNAVAILABLE = 14;

testWithOwnNetwork(
  "without a local port left towards a backend, plain or TLS, IPv4 or IPv6, its checks repeat the last answer or are silent, and it is up as soon as there is one",
  {},
  FEW_PORTS,
  async ({ wrapper }) => {
    const ports = { port: freePort(), metricsPort: freePort() };
    await using _doors = await openDoors(wrapper, Object.values(ports));
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issueServer();
    const flags = [...CONNECT_EACH_TIME, "--tls-ca-file", authority.caFile];
    await using stack = new AsyncDisposableStack();
    const backends: HealthBackend[] = [];
    for (const options of [{}, { host: "[::1]" }, { tls }, { tls, host: "[::1]" }]) {
      backends.push(stack.use(await startHealthBackend(options, wrapper)));
    }
    await withAgent({ ...ports, wrapper, flags }, async (agent) => {
      for (const backend of backends) assert.equal(await agent.ask(backend.line()), "up\n");
      const taken = await takePorts(wrapper, backends.map(({ address }) => address));
      const lacking = await counting(agent, 8, async () => {
        for (const backend of backends) {
          const known = backend.line();
          const unknown = backend.line({ authority: "other.test" });
          assert.equal(await agent.ask(known), "up\n", `${known} has an answer to repeat`);
          assert.equal(await agent.ask(unknown), "", `${unknown} has none`);
        }
      });
      assert.deepEqual(lacking, { error: 8, local: 8 });
      for (const { address } of backends) {
        const entry = await agent.waitForLog(`of ${address}`, ({ backend, error_type }) => {
          return backend === address && error_type === "local";
        });
        assert.equal(entry.level, "error");
        assert.match(String(entry.error), NO_PORT);
      }
      const page = (await agent.get("/")).body;
      assert.match(page, /<b>4<\/b> up\b/);
      assert.match(page, /<b>0<\/b> down\b/);
      assert.match(page, /8 could not be asked of 8</);
      assert.match(page, /EADDRNOTAVAIL: no local port is left/);
      assert.match(page, /Answers without a verdict since the start: <b>8 local<\/b>/);

      await taken[Symbol.asyncDispose]();
      const up = await counting(agent, 4, async () => {
        for (const backend of backends) assert.equal(await agent.ask(backend.line()), "up\n");
      });
      assert.deepEqual(up, { up: 4 });
    });
  },
);

testWithOwnNetwork(
  "a check for which no local port is left counts neither for fall nor for rise, and ends no row of them",
  {},
  FEW_PORTS,
  async ({ wrapper }) => {
    const ports = { port: freePort(), metricsPort: freePort() };
    await using _doors = await openDoors(wrapper, Object.values(ports));
    await using backend = await startHealthBackend({}, wrapper);
    const flags = [...CONNECT_EACH_TIME, "--fall", "2", "--rise", "2"];
    await withAgent({ ...ports, wrapper, flags }, async (agent) => {
      const ask = () => agent.ask(backend.line());
      const askWithoutPort = async () => {
        await using _taken = await takePorts(wrapper, [backend.address]);
        const counted = await counting(agent, 3, async () => {
          const last = await ask();
          assert.deepEqual([await ask(), await ask()], [last, last]);
        });
        assert.deepEqual(counted, { error: 3, local: 3 });
      };
      assert.equal(await ask(), "up\n");
      await backend.setError("", UNAVAILABLE);
      assert.equal(await ask(), "up\n", "The first failure of two");
      await askWithoutPort();
      assert.equal(await ask(), "down\n", "The second");
      await backend.setStatus("", "SERVING");
      assert.equal(await ask(), "down\n", "The first success of two");
      await askWithoutPort();
      assert.equal(await ask(), "up\n", "The second");
    });
  },
);

testWithOwnNetwork(
  "a name that refuses at one address, and has no local port left towards the other, is not down",
  { "both.test": ["::1", "127.0.0.1"] },
  FEW_PORTS,
  async ({ wrapper, withNames }) => {
    for (const host of ["[::1]", "127.0.0.1"]) {
      await using backend = await startHealthBackend({ host }, wrapper);
      const check = () =>
        checkJson(
          [...LONG_DEADLINES, "both.test", `${backend.port}`, "no-ssl", "a.test"],
          {},
          withNames,
        );
      assert.equal((await check()).verdict, "serving");
      await using _taken = await takePorts(wrapper, [backend.address]);
      const { verdict, detail, reply } = await check();
      assert.equal(verdict, "local", host);
      assert.match(detail, NO_PORT);
      assert.notEqual(reply, "down", host);
    }
  },
);

testWithOwnNetwork(
  "an IPv6 address is down, not a lack of ports, where IPv6 is switched off",
  {},
  "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6",
  async ({ wrapper }) => {
    for (const flag of ["no-ssl", "ssl"]) {
      const check = await checkJson(["2001:db8::1", "50051", flag, "a.test"], {}, wrapper);
      assert.equal(check.verdict, "unreachable");
      assert.equal(check.reply, "down");
      assert.match(check.detail, /EADDRNOTAVAIL|ENETUNREACH/);
    }
  },
);

/** What of this class a connect may end with, and its number. */
const ERRNOS: readonly [name: string, number: number][] = [
  ["EMFILE", 24],
  ["ENFILE", 23],
  ["ENOBUFS", 105],
  ["ENOMEM", 12],
  ["EADDRNOTAVAIL", 99],
];

/** Has the kernel refuse each connection to an IPv6 address, and no other. */
function refusing(errno: number): string[] {
  return ["python3", `${ROOT}tests/lab/machine/errno_on_connect.py`, `${errno}`];
}

for (const [name, errno] of ERRNOS) {
  testThatNeeds(
    { missing: seccompProblem() },
    `where connecting ends with ${name}, plain or TLS, the agent says nothing, and others are up`,
    async () => {
      await using authority = await CertificateAuthority.create();
      const tls = await authority.issueServer();
      await using plain = await startHealthBackend({ host: "[::1]" });
      await using secure = await startHealthBackend({ host: "[::1]", tls });
      await using other = await startHealthBackend();
      const flags = [...LONG_DEADLINES, "--tls-ca-file", authority.caFile];
      await withAgent({ wrapper: refusing(errno), flags }, async (agent) => {
        const counted = await counting(agent, 6, async () => {
          for (let round = 0; round < 2; round++) {
            for (const backend of [plain, secure]) {
              assert.equal(await agent.ask(backend.line()), "");
            }
            assert.equal(await agent.ask(other.line()), "up\n");
          }
        });
        assert.deepEqual(counted, { up: 2, error: 4, local: 4 });
        assert.match((await agent.get("/")).body, /2 could not be asked of 3</);
        for (const { address } of [plain, secure]) {
          const entry = await agent.waitForLog(`of ${address}`, ({ backend }) => {
            return backend === address;
          });
          assert.ok(String(entry.error).startsWith(`${name}: `), String(entry.error));
        }
      });
    },
  );
}

testThatNeeds(
  { missing: seccompProblem() ?? PROMTOOL.missing },
  "HaproxyGrpcAgentCannotAsk fires for an agent that lacks something, by its scrapes, and not before",
  async () => {
    await using backend = await startHealthBackend({ host: "[::1]" });
    const [, errno = 0] = ERRNOS.find(([name]) => name === "ENOBUFS") ?? [];
    await withAgent({ wrapper: refusing(errno) }, async (agent) => {
      const counts: number[] = [];
      const scrape = async () => counts.push((await agent.metrics()).get(LOCAL) ?? NaN);
      for (let minute = 0; minute <= 5; minute++) await scrape();
      for (let minute = 6; minute <= 10; minute++) {
        assert.equal(await agent.ask(backend.line()), "");
        await eventually(
          "the check to be counted",
          async () => await counted(agent) === minute - 5,
        );
        await scrape();
      }
      await assertFires(counts, { 5: false, 10: true });
    });
  },
);

const LOCAL = 'check_errors_total{error_type="local"}';

async function counted(agent: AgentProcess): Promise<number | undefined> {
  return (await agent.metrics()).get(LOCAL);
}

/**
 * Has promtool judge the alert rules.
 *
 * @param counts what the agent said each minute
 * @param fires by minute
 * @throws {AssertionError} when the alert is not as it should be
 */
async function assertFires(counts: number[], fires: Record<number, boolean>): Promise<void> {
  const labels = 'job="haproxy-grpc-agent", instance="a"';
  const alert = `ALERTS{alertname="HaproxyGrpcAgentCannotAsk", alertstate="firing"}`;
  const one = { labels: "{}", value: 1 };
  const tests = {
    rule_files: [`${ROOT}deploy/monitoring/alerts.yml`],
    tests: [{
      interval: "1m",
      input_series: [{ series: LOCAL.replace("{", `{${labels}, `), values: counts.join(" ") }],
      promql_expr_test: Object.entries(fires).map(([minute, firing]) => ({
        expr: `count(${alert})`,
        eval_time: `${minute}m`,
        exp_samples: firing ? [one] : [],
      })),
    }],
  };
  await using directory = await TempDirectory.create();
  const file = await directory.write("tests.yml", JSON.stringify(tests));
  const { ok, output } = await promtool(["test", "rules", file]);
  assert.ok(ok, output);
}

function seccompProblem(): string | undefined {
  try {
    const [program = "", ...args] = [...refusing(1), "true"];
    if (new Deno.Command(program, { args }).outputSync().success) return undefined;
  } catch {
    // Not even the program is there.
  }
  return "it takes Python and a kernel with seccomp to let the kernel refuse connections";
}
