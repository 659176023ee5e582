import assert from "node:assert/strict";
import { eventually } from "../lab/eventually.ts";
import { startHealthBackend } from "../lab/health_backend.ts";
import { withAgent } from "../lab/with_agent.ts";

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
];

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
  backend.freeze();
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

Deno.test("health and readiness answer, other paths and methods are refused", async () => {
  await withAgent({}, async (agent) => {
    assert.equal((await agent.get("/healthz")).status, 200);
    assert.equal((await agent.get("/readyz")).status, 200);
    assert.equal((await agent.get("/nothing")).status, 404);
    const url = `http://127.0.0.1:${agent.metricsPort}/metrics`;
    const response = await fetch(url, { method: "POST", body: "x" });
    await response.body?.cancel();
    assert.equal(response.status, 405);
    assert.match(response.headers.get("allow") ?? "", /GET/);
  });
});
