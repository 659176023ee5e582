import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { FrameType } from "../lab/backends/http2/frames.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { ScriptedServer } from "../lab/backends/peers/scripted_server.ts";
import { refusing } from "../lab/backends/peers/tcp_peers.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { PROMTOOL, promtool } from "../lab/testing/promtool.ts";
import { ROOT } from "../lab/testing/repository.ts";
import { testThatNeeds } from "../lab/testing/test_that_needs.ts";

const RESULTS = ["up", "down", "error"];

const ERROR_TYPES = [
  "backend_unreachable",
  "dns",
  "tls",
  "timeout",
  "rpc",
  "denied",
  "parse_error",
  "internal",
  "local",
];

const CLOSE_REASONS = ["peer", "idle", "age", "limit", "reload", "unused", "silent", "changed"];

const BUCKETS = ["0.01", "0.05", "0.1", "0.5", "1", "2", "+Inf"];

Deno.test("the five fixed metrics show all their labels at 0 from the start", async () => {
  await withAgent({}, async (agent) => {
    const { body, headers } = await agent.get("/metrics");
    assert.match(headers.get("content-type") ?? "", /^text\/plain; *version=0\.0\.4/);
    for (
      const type of [
        "check_requests_total counter",
        "check_errors_total counter",
        "check_duration_seconds histogram",
        "haproxy_connections_active gauge",
        "grpc_channels_active gauge",
      ]
    ) assert.ok(body.includes(`# TYPE ${type}\n`), type);
    const metrics = await agent.metrics();
    const samples = [
      ...RESULTS.map((result) => `check_requests_total{result="${result}"}`),
      ...ERROR_TYPES.map((type) => `check_errors_total{error_type="${type}"}`),
      ...BUCKETS.map((bound) => `check_duration_seconds_bucket{le="${bound}"}`),
      "check_duration_seconds_sum",
      "check_duration_seconds_count",
      "haproxy_connections_active",
      "grpc_channels_active",
    ];
    for (const sample of samples) assert.equal(metrics.get(sample), 0, sample);
  });
});

Deno.test("the duration of a check falls into its bucket", async () => {
  await using backend = await startHealthBackend({ delayMs: 600 });
  await withAgent({}, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    await eventually("the check to be counted", async () => {
      return (await agent.metrics()).get("check_duration_seconds_count") === 1;
    });
    const metrics = await agent.metrics();
    const bucket = (bound: string) => metrics.get(`check_duration_seconds_bucket{le="${bound}"}`);
    assert.equal(bucket("0.5"), 0);
    assert.equal(bucket("2"), 1);
    const sum = metrics.get("check_duration_seconds_sum") ?? 0;
    assert.ok(sum > 0.59 && sum < 2, `The sum is ${sum}`);
  });
});

Deno.test("the gauges follow connections and channels up and down", async () => {
  await using one = await startHealthBackend();
  await using other = await startHealthBackend();
  await withAgent({}, async (agent) => {
    const gauge = async (name: string, value: number) => {
      await eventually(
        `${name} ${value}`,
        async () => (await agent.metrics()).get(name) === value,
      );
    };
    {
      using first = await agent.connect();
      using second = await agent.connect();
      await gauge("haproxy_connections_active", 2);
      assert.equal(await first.ask(one.line()), "up\n");
      assert.equal(await second.ask(one.line()), "up\n");
      await gauge("grpc_channels_active", 1);
      assert.equal(await second.ask(other.line()), "up\n");
      await gauge("grpc_channels_active", 2);
    }
    await gauge("haproxy_connections_active", 0);
    await one.kill();
    await gauge("grpc_channels_active", 1);
  });
});

Deno.test("a scrape answers while checks of a dead backend wait", async () => {
  await using backend = await startHealthBackend();
  await backend.freeze();
  await withAgent({}, async (agent) => {
    let answered = false;
    const check = agent.ask(backend.line()).then((reply) => {
      answered = true;
      return reply;
    });
    for (let scrape = 0; scrape < 10; scrape++) {
      assert.ok((await agent.metrics()).has("grpc_channels_active"));
    }
    assert.equal(answered, false);
    assert.equal(await check, "down\n");
  });
});

Deno.test("the agent's own metrics are there from the start, with all their labels", async () => {
  await withAgent({}, async (agent) => {
    const metrics = await agent.metrics();
    const samples = Object.entries({
      'connections_rejected_total{reason="max_connections"}': 0,
      'connections_rejected_total{reason="client_not_allowed"}': 0,
      checks_coalesced_total: 0,
      checks_abandoned_total: 0,
      hedged_calls_total: 0,
      backend_connections_opened_total: 0,
      ...Object.fromEntries(CLOSE_REASONS.map((reason) => [closed(reason), 0])),
      backends_unasked: 0,
      log_dropped_total: 0,
      client_patience_learnt: 0,
      checks_in_flight: 0,
      config_last_reload_successful: 1,
      'backends{state="up"}': 0,
      'backends{state="down"}': 0,
      'backends{state="drain"}': 0,
      'backends{state="maint"}': 0,
    });
    for (const [name, value] of samples) {
      assert.equal(metrics.get(`haproxy_grpc_agent_${name}`), value, name);
    }
    const info = [...metrics].find(([name]) => name.startsWith("haproxy_grpc_agent_build_info{"));
    assert.match(info?.[0] ?? "", /\{version="\d+\.\d+\.\d+",deno="\d+\.\d+\.\d+"\}$/);
    assert.equal(info?.[1], 1);
  });
});

const OPENED = "backend_connections_opened_total";

/** A name without the prefix that all of the agent's own have. */
function closed(reason: string): string {
  return `backend_connections_closed_total{reason="${reason}"}`;
}

/** Waits until one of the agent's own metrics has a value. */
async function untilOwn(agent: AgentProcess, name: string, value: number): Promise<void> {
  await eventually(`${name} ${value}`, async () => await own(agent, name) === value);
}

async function own(agent: AgentProcess, name: string): Promise<number> {
  const value = (await agent.metrics()).get(`haproxy_grpc_agent_${name}`);
  assert.ok(value !== undefined, name);
  return value;
}

Deno.test("a call that is made again beside a silent one is counted, and connections by why they end", async () => {
  /** Numbers of connections on which nothing is answered any more. */
  let deaf: readonly number[] = [];
  await using server = await ScriptedServer.start({
    acknowledges: ({ type, connection }) => type !== FrameType.PING || !deaf.includes(connection),
    answer: async (call) => {
      if (!deaf.includes(call.connection.nth)) await call.serve();
    },
  });
  await withAgent({}, async (agent) => {
    assert.equal(await agent.ask(server.line()), "up\n");
    const hedged = await own(agent, "hedged_calls_total");
    deaf = server.open.map(({ nth }) => nth);
    assert.equal(await agent.ask(server.line()), "up\n");
    assert.equal(await own(agent, "hedged_calls_total"), hedged + 1);
    await untilOwn(agent, closed("silent"), deaf.length);
    assert.equal(await own(agent, OPENED), server.connections.length);

    const left = server.open;
    assert.equal((await agent.metrics()).get("grpc_channels_active"), left.length);
    for (const connection of left) connection.destroy();
    await untilOwn(agent, closed("peer"), left.length);
    assert.equal((await agent.metrics()).get("grpc_channels_active"), 0);
  });
});

Deno.test("a connection that cannot be made, and one that is not kept, are opened and closed", async () => {
  await using peer = refusing();
  await using backend = await startHealthBackend();
  await withAgent({ flags: ["--grpc-channel-cache", "false"] }, async (agent) => {
    assert.equal(await agent.ask(`127.0.0.1 ${peer.port} no-ssl backend.test\n`), "down\n");
    assert.equal(await own(agent, closed("peer")), await own(agent, OPENED));
    const before = await own(agent, OPENED);
    for (let nth = 1; nth <= 3; nth++) {
      assert.equal(await agent.ask(backend.line()), "up\n");
      await untilOwn(agent, closed("unused"), nth);
    }
    assert.equal(await own(agent, OPENED), before + 3);
  });
});

Deno.test("the process_ figures agree with what the kernel says", async () => {
  await withAgent({}, async (agent) => {
    const metrics = await agent.metrics();
    const startedAgo = Date.now() / 1000 - (metrics.get("process_start_time_seconds") ?? 0);
    assert.ok(startedAgo > 0 && startedAgo < 30, `Started ${startedAgo} s ago`);
    const resident = metrics.get("process_resident_memory_bytes") ?? 0;
    const difference = Math.abs(resident / agent.residentBytes() - 1);
    assert.ok(difference < 0.2, `${resident} bytes differ by ${difference}`);
    const cpu = metrics.get("process_cpu_seconds_total") ?? 0;
    const kernelCpu = agent.cpuMs() / 1000;
    assert.ok(
      cpu > 0.01 && Math.abs(cpu - kernelCpu) < 0.1,
      `${cpu} s, the kernel: ${kernelCpu} s`,
    );
  });
});

Deno.test("checks_in_flight is there while a check waits", async () => {
  await using backend = await startHealthBackend();
  await backend.freeze();
  await withAgent({}, async (agent) => {
    const inFlight = async () => (await agent.metrics()).get("haproxy_grpc_agent_checks_in_flight");
    const checks = [agent.ask(backend.line()), agent.ask(backend.line())];
    await eventually("both checks to be in flight", async () => await inFlight() === 2);
    assert.deepEqual(await Promise.all(checks), ["down\n", "down\n"]);
    await eventually("none to be in flight", async () => await inFlight() === 0);
    {
      using abandoned = await agent.connect();
      await abandoned.write(backend.line());
      await eventually("one to be in flight", async () => await inFlight() === 1);
    }
    await eventually("the abandoned one to be gone", async () => await inFlight() === 0);
  });
});

Deno.test("config_last_reload_successful falls with a broken file and rises with a good one", async () => {
  const file = await Deno.makeTempFile({ suffix: ".toml" });
  try {
    await withAgent({ flags: ["--config", file] }, async (agent) => {
      const reload = async (text: string, expected: number) => {
        await Deno.writeTextFile(file, text);
        agent.signal("SIGHUP");
        await eventually(`the gauge to be ${expected}`, async () => {
          const metrics = await agent.metrics();
          return metrics.get("haproxy_grpc_agent_config_last_reload_successful") === expected;
        });
      };
      await reload("fall = 0\n", 0);
      await reload("fall = 2\n", 1);
    });
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("backend_up tells each backend apart, but only where it is asked for", async () => {
  await using backend = await startHealthBackend({ services: { a: "SERVING", b: "NOT_SERVING" } });
  const series = async (flags: string[]): Promise<[string, number][]> => {
    let found: [string, number][] = [];
    await withAgent({ flags }, async (agent) => {
      for (const service of ["a", "b"]) await agent.ask(backend.line({ service }));
      const name = /^haproxy_grpc_agent_backend_up/;
      found = [...await agent.metrics()].filter(([sample]) => name.test(sample));
    });
    return found;
  };
  assert.deepEqual(await series([]), []);
  assert.deepEqual(await series(["--metrics-backend-up"]), [
    [`haproxy_grpc_agent_backend_up{backend="${backend.address}",service="a"}`, 1],
    [`haproxy_grpc_agent_backend_up{backend="${backend.address}",service="b"}`, 0],
  ]);
});

Deno.test("docs/operations.md has a row for every metric, with its type and what it says", async () => {
  const document = await Deno.readTextFile(`${ROOT}docs/operations.md`);
  const documented = [
    ...document.matchAll(/^\| `(\w+)` +\| (counter|gauge|histogram) .*\| (.*?) +\|$/gm),
  ]
    .map(([, name, type, help]) => `${name} ${type}: ${help}`);
  await withAgent({}, async (agent) => {
    const { body } = await agent.get("/metrics");
    const shown = [...body.matchAll(/^# HELP (\w+) (.*)\n# TYPE \w+ (\w+)$/gm)]
      .map(([, name, help = "", type]) => `${name} ${type}: ${help.replace(/\.$/, "")}`);
    assert.deepEqual(shown.sort(), documented.sort());
  });
});

testThatNeeds(PROMTOOL, "promtool finds nothing in the metrics", async () => {
  await using backend = await startHealthBackend();
  await withAgent({ flags: ["--metrics-backend-up"] }, async (agent) => {
    await agent.ask(backend.line());
    const { body } = await agent.get("/metrics");
    assert.deepEqual(await promtool(["check", "metrics"], body), { ok: true, output: "" });
  });
});
