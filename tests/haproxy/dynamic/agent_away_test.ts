// What becomes of servers while the agent is restarted, frozen, full or away, by agent-check and by tcp-check,
// and whether HAProxy's own metrics tell of it.

import assert from "node:assert/strict";
import { parse } from "yaml";
import { startAgent } from "../../lab/agent/agent_process.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../../lab/backends/libraries/health_backend.ts";
import { LineClient } from "../../lab/clients/line_client.ts";
import type { Haproxy, ServerRow } from "../../lab/haproxy/haproxy.ts";
import { DYNAMIC_EXAMPLES } from "../../lab/haproxy/placed_examples.ts";
import { ServerWatch } from "../../lab/haproxy/server_watch.ts";
import { testSideBySide } from "../../lab/haproxy/test_with_haproxy.ts";
import { type CheckedServer, waitForServer } from "../../lab/haproxy/wait_for_server.ts";
import { freePort } from "../../lab/machine/free_port.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { PROMTOOL, promtool } from "../../lab/testing/promtool.ts";
import { ROOT } from "../../lab/testing/repository.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";

/** Where the agent is, on loopback. */
interface Agent {
  port: number;
  metricsPort: number;
}

const DASHBOARD = `${ROOT}deploy/monitoring/grafana-dashboard.json`;
const RULES = `${ROOT}deploy/monitoring/haproxy_alerts.yml`;

testSideBySide(
  "an agent that is away leaves servers as they were by agent-check, and takes them down by tcp-check",
  [PROMTOOL],
  async (start) => {
    await using good = await startHealthBackend();
    await using bad = await startHealthBackend({ services: { "": "NOT_SERVING" } });
    const ports = { port: freePort(), metricsPort: freePort() };
    await using first = await startAgent(ports);
    await using stack = new AsyncDisposableStack();
    const check = await checkOfExamples(ports);
    const metricsPorts = new Map<string, number>();
    const haproxies = await start(stack, (series) => {
      metricsPorts.set(series, freePort());
      return configuration(ports, check, metricsPorts.get(series) ?? 0, [good, bad]);
    });
    const everywhere = async (backend: string, ...expected: CheckedServer[]) => {
      for (const haproxy of haproxies.values()) {
        for (const one of expected) await waitForServer(haproxy, backend, one);
      }
    };
    const byAgentCheck = async (agentStatus: RegExp, servers: Record<string, boolean>) => {
      for (const haproxy of haproxies.values()) {
        for (const [server, up] of Object.entries(servers)) {
          const look = (row: ServerRow) => row.up === up && agentStatus.test(row.agentStatus);
          await haproxy.waitFor("static", server, look, 15_000);
        }
      }
    };
    const scrapes = new Map<string, Map<string, string>>();
    const scrape = async (situation: string) => {
      const texts = [...metricsPorts].map(async ([series, port]) =>
        [series, await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()] as const
      );
      scrapes.set(situation, new Map(await Promise.all(texts)));
    };
    const asBegun = async () => {
      await byAgentCheck(/^L7OK$/, { good: true });
      await byAgentCheck(/^L7STS$/, { bad: false });
      for (const backend of ["dynamic", "patient"]) {
        await everywhere(
          backend,
          { server: "good", status: "UP", checkStatus: "L7OK" },
          { server: "bad", status: "DOWN", checkStatus: "L7STS", lastCheck: "down" },
        );
      }
      await everywhere("agents", { status: "UP" });
    };
    await asBegun();
    await scrape("ready");

    const watches = [...haproxies.values()].flatMap((haproxy: Haproxy) =>
      ["static", "patient"].map((backend) => stack.use(new ServerWatch(haproxy, backend)))
    );
    first.signal("SIGHUP");
    await first.waitForLog(
      "of the reload",
      ({ message }) => message === "Configuration read again",
    );
    await first.stop();
    await using second = await startAgent(ports);
    await asBegun();
    for (const watch of watches) {
      await watch.stop();
      assert.equal(watch.spans.length, 2, "Neither reload nor restart changed a server");
    }

    await second.freeze();
    await everywhere("dynamic", { server: "good", status: "DOWN", checkStatus: "L7TOUT" });
    await byAgentCheck(/^L7TOUT$/, { good: true, bad: false });
    await everywhere("agents", { status: "DOWN" });
    await scrape("frozen");
    second.signal("SIGCONT");
    await asBegun();

    await second.stop(0);
    await good.setStatus("", "NOT_SERVING");
    await bad.setStatus("", "SERVING");
    const away = /at step 4 of tcp-check \(connect port \d+\) comment: 'the agent'/;
    for (const server of ["good", "bad"]) {
      await everywhere("dynamic", {
        server,
        status: "DOWN",
        checkStatus: "L4CON",
        lastCheck: away,
      });
    }
    await byAgentCheck(/^L4CON$/, { good: true, bad: false });
    await everywhere("agents", { status: "DOWN" });
    await scrape("away");
    await good.setStatus("", "SERVING");
    await bad.setStatus("", "NOT_SERVING");

    await using full = await startAgent({ ...ports, flags: ["--max-connections", "1"] });
    // It closes without a word; where HAProxy's line came first that is a reset.
    const closed = /^(L7RSP|SOCKERR)$/;
    using held = await holdOnlyConnection(full.port);
    await everywhere("dynamic", { server: "good", status: "DOWN", checkStatus: closed });
    await byAgentCheck(closed, { good: true, bad: false });
    await scrape("full");
    held.close();
    await eventually("an agent that answers", async () => {
      return (await full.metrics()).get('check_requests_total{result="up"}') !== 0;
    });

    await judgeRules(scrapes);
  },
);

/** The lines of the check in the examples, with the agent's port. */
async function checkOfExamples({ port }: Agent): Promise<string> {
  const example = await Deno.readTextFile(`${DYNAMIC_EXAMPLES}a-records.cfg`);
  const [lines = ""] = /^ {2}option tcp-check\n[^]*?\n(?=\n)/m.exec(example) ??
    [];
  assert.match(lines, /port 5555 /);
  return lines.replace("port 5555", `port ${port}`);
}

/** One backend by agent-check, and two by tcp-check: with a fall of 3, and with one that outlasts a restart. */
function configuration(
  { port, metricsPort }: Agent,
  check: string,
  own: number,
  backends: [good: HealthBackend, bad: HealthBackend],
): string {
  const [good, bad] = backends.map(({ port }) => `127.0.0.1:${port}`);
  const line = (address = "") => address.replace(":", " ") + " no-ssl backend.test\\n";
  const byTcpCheck = (name: string, fall: number) =>
    `backend ${name}
${check}
  timeout check 1s
  default-server check inter 200ms fall ${fall} rise 1
  server good ${good}
  server bad ${bad}
`;
  return `defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s

frontend metrics
  bind 127.0.0.1:${own}
  http-request use-service prometheus-exporter if { path /metrics }

backend static
  timeout check 2s
  default-server agent-check agent-addr 127.0.0.1 agent-port ${port} agent-inter 500ms
  server good ${good} agent-send "${line(good)}"
  server bad ${bad} agent-send "${line(bad)}"

${byTcpCheck("dynamic", 3)}
${byTcpCheck("patient", 40)}
backend agents
  option httpchk GET /readyz
  server local 127.0.0.1:${metricsPort} check inter 200ms fall 3 rise 1
`;
}

/** Takes the only connection that an agent with `max_connections = 1` gives. */
async function holdOnlyConnection(port: number): Promise<LineClient> {
  return await eventually("the only connection", async () => {
    const client = await LineClient.open(port);
    if (await client.ask("x\n").catch(() => "") === "down\n") return client;
    client.close();
    return undefined;
  });
}

/** The alerts that are to fire in each situation, by the backend or server that they name. */
const FIRING: Readonly<Record<string, readonly string[]>> = {
  ready: [],
  frozen: ["HaproxyGetsNoAgentAnswer", "HaproxyGrpcAgentNotReady", "HaproxyHasNoGrpcAgent"],
  away: ["HaproxyGetsNoAgentAnswer", "HaproxyGrpcAgentNotReady", "HaproxyHasNoGrpcAgent"],
  // Its /readyz answers; only agent-check tells.
  full: ["HaproxyGetsNoAgentAnswer"],
};

/** Has promtool judge the alert rules with what each HAProxy said in each situation, held for ten minutes. */
async function judgeRules(scrapes: Map<string, Map<string, string>>): Promise<void> {
  const rules = await Deno.readTextFile(RULES);
  const expressions = rules + await dashboardExpressions();
  const states = [...expressions.matchAll(/\bstate=~?"([^"]*)"/g)]
    .flatMap(([, all = ""]) => all.split("|"));
  const tests = [...scrapes].flatMap(([situation, texts]) =>
    [...texts].map(([series, text]) => {
      for (const state of states) {
        if (series !== "3.0") assert.match(text, new RegExp(`state="${state}"`), series);
      }
      // 3.0 has no agent status.
      const alerts = (FIRING[situation] ?? [])
        .filter((name) => series !== "3.0" || name !== "HaproxyGetsNoAgentAnswer");
      return {
        name: `${situation} ${series}`,
        interval: "15s",
        input_series: samples(text),
        promql_expr_test: [{
          expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
          eval_time: "5m",
          exp_samples: alerts.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 })),
        }],
      };
    })
  );
  await using directory = await TempDirectory.create();
  // JSON is YAML.
  const file = await directory.write(
    "test.yml",
    JSON.stringify({ rule_files: [RULES], evaluation_interval: "15s", tests }),
  );
  const { ok, output } = await promtool(["test", "rules", file]);
  assert.ok(ok, output);
  assert.ok(parse(rules).groups[0].rules.length === 3);
}

/** What the dashboard asks of HAProxy's exporter, which has the metrics of the rules. */
async function dashboardExpressions(): Promise<string> {
  const dashboard = JSON.parse(await Deno.readTextFile(DASHBOARD));
  const expressions: string[] = dashboard.panels
    .flatMap(({ targets }: { targets: { expr: string }[] }) => targets.map(({ expr }) => expr))
    .filter((expression: string) => expression.includes("haproxy_server_"));
  assert.equal(expressions.length, 2);
  for (const expression of expressions) {
    assert.match(expression, /\bhaproxy_server_(agent_)?status\{/);
  }
  return expressions.join("\n");
}

/** The samples that the rules look at, as promtool wants them, with the labels that a scrape adds. */
function samples(text: string): { series: string; values: string }[] {
  return [...text.matchAll(/^(haproxy_server_(?:agent_status|status))\{(.*)\} (\d)$/gm)]
    .map(([, name, labels, value]) => ({
      series: `${name}{job="haproxy", instance="a", ${labels}}`,
      values: `${value}x40`,
    }));
}
