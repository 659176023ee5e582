import assert from "node:assert/strict";
import { type AgentProcess, startAgent } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { eventually, within } from "../lab/testing/eventually.ts";

/** Sends bytes to the HTTP port and reads to the end; "" where the agent closes without a byte. */
async function raw(agent: AgentProcess, request: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: agent.metricsPort });
  await connection.write(new TextEncoder().encode(request)).catch(() => {});
  try {
    return await within("the answer's end", 5000, new Response(connection.readable).text());
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) return "";
    throw error;
  }
}

const PATHS: readonly [string, number, RegExp, RegExp][] = [
  ["/healthz", 200, /^text\/plain/, /^ok\n$/],
  ["/readyz", 200, /^text\/plain/, /^ready\n$/],
  ["/metrics", 200, /^text\/plain; version=0\.0\.4/, /^check_requests_total/m],
  ["/metrics?x=1", 200, /^text\/plain; version=0\.0\.4/, /^check_requests_total/m],
  ["/", 200, /^text\/html/, /<h1/],
  ["/?refresh", 200, /^text\/html/, /<h1/],
  ["/api/status", 200, /^application\/json/, /"backends"/],
  ["/nothing", 404, /^text\/plain/, /^Not found\n$/],
  ["//", 404, /^text\/plain/, /^Not found\n$/],
  ["/metrics/", 404, /^text\/plain/, /^Not found\n$/],
  ["/%6detrics", 404, /^text\/plain/, /^Not found\n$/],
];

Deno.test("each path answers GET and HEAD with its type and headers that keep it to itself", async () => {
  await withAgent({}, async (agent) => {
    for (const [path, status, type, body] of PATHS) {
      const url = `http://127.0.0.1:${agent.metricsPort}${path}`;
      const get = await fetch(url);
      assert.equal(get.status, status, path);
      assert.match(get.headers.get("content-type") ?? "", type, path);
      assert.match(await get.text(), body, path);
      assert.equal(get.headers.get("x-content-type-options"), "nosniff");
      assert.equal(get.headers.get("cache-control"), "no-store");
      assert.match(get.headers.get("content-security-policy") ?? "", /^default-src 'none'; /);
      const head = await fetch(url, { method: "HEAD" });
      assert.equal(head.status, status, path);
      assert.equal(await head.text(), "");
    }
    assert.equal((await agent.get("/?refresh")).headers.get("refresh"), "5");
    assert.equal((await agent.get("/")).headers.get("refresh"), null);
  });
});

Deno.test("other methods get 405 with Allow, and their body is not waited for", async () => {
  await withAgent({}, async (agent) => {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      for (const path of ["/metrics", "/", "/readyz"]) {
        const answer = await raw(
          agent,
          `${method} ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n`,
        );
        assert.match(answer, /^HTTP\/1\.1 405 .*\r\nallow: GET, HEAD\r\n/is, `${method} ${path}`);
      }
    }
  });
});

Deno.test("what is no HTTP is refused, and the agent goes on", async () => {
  await withAgent({}, async (agent) => {
    for (
      const bytes of [
        "\r\n\r\n\r\n\r\nnonsense\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(100_000)}\r\n\r\n`,
        `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
        `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(10_000)}\r\n`,
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      ]
    ) {
      assert.doesNotMatch(
        await raw(agent, bytes),
        /^HTTP\/1\.1 2/,
        JSON.stringify(bytes.slice(0, 40)),
      );
    }
    assert.equal((await agent.get("/readyz")).status, 200);
  });
});

Deno.test("the HTTP port answers to the end of a shutdown: alive, and not ready", async () => {
  await using backend = await startHealthBackend({ delayMs: 1200 });
  await using agent = await startAgent();
  using client = await agent.connect();
  await client.write(backend.line());
  await eventually("the check to begin", async () => (await backend.report()).calls === 1);
  agent.signal("SIGTERM");
  await agent.waitForLog("of the shutdown", ({ message }) => message === "Stopping");
  const reply = client.readToEnd();
  let looks = 0;
  for (let answered = false; !answered;) {
    assert.equal((await agent.get("/readyz")).status, 503);
    assert.equal((await agent.get("/healthz")).status, 200);
    assert.match((await agent.get("/")).body, /<h1 class="warn">Stopping/);
    looks++;
    const inFlight = (await agent.metrics()).get("haproxy_grpc_agent_checks_in_flight");
    if (inFlight === 0) break; // it has just ended
    assert.equal(inFlight, 1);
    answered = await Promise.race([
      reply.then(() => true),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 300)),
    ]);
  }
  assert.ok(looks > 1, `The port was looked at ${looks} times`);
  assert.equal(await reply, "up\n");
  assert.equal((await agent.exited).code, 0);
  assert.deepEqual(agent.faults(), []);
});
