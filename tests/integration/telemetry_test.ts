// What Deno itself sends by OpenTelemetry for an agent that is started with OTEL_DENO: docs/operations.md.

import assert from "node:assert/strict";
import { withAgent } from "../lab/agent/with_agent.ts";
import { eventually } from "../lab/testing/eventually.ts";

/** What one export holds, as far as it is looked at (OTLP as JSON). */
interface Export {
  resourceMetrics?: { resource: Resource; scopeMetrics: { metrics: { name: string }[] }[] }[];
  resourceSpans?: { resource: Resource; scopeSpans: { spans: { name: string }[] }[] }[];
}

interface Resource {
  attributes: { key: string; value: { stringValue?: string } }[];
}

/** Takes exports as a collector does. */
class Receiver implements AsyncDisposable {
  readonly exports: Export[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
    this.#server = Deno.serve(options, async (request) => {
      this.exports.push(await request.json());
      return Response.json({});
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  get metrics(): string[] {
    return this.exports.flatMap(({ resourceMetrics = [] }) => resourceMetrics)
      .flatMap(({ scopeMetrics }) => scopeMetrics)
      .flatMap(({ metrics }) => metrics.map(({ name }) => name));
  }

  get spans(): string[] {
    return this.exports.flatMap(({ resourceSpans = [] }) => resourceSpans)
      .flatMap(({ scopeSpans }) => scopeSpans)
      .flatMap(({ spans }) => spans.map(({ name }) => name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

Deno.test({
  name:
    "with OTEL_DENO, Deno sends figures of its memory and its HTTP server, by the environment's rules",
  // An executable has that switched on or off when it is compiled.
  ignore: Deno.env.has("AGENT"),
  async fn() {
    await using receiver = new Receiver();
    const env = {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_METRIC_EXPORT_INTERVAL: "500",
      OTEL_SERVICE_NAME: "edge-1",
    };
    await withAgent({ env }, async (agent) => {
      await agent.get("/metrics");
      await eventually("the exports", () =>
        receiver.metrics.includes("v8js.memory.heap.size") &&
        receiver.metrics.includes("http.server.request.duration"));
    });
    const [{ resource } = assert.fail("nothing of a resource")] = receiver.exports
      .flatMap(({ resourceMetrics = [] }) => resourceMetrics);
    const service = resource.attributes.find(({ key }) => key === "service.name");
    assert.equal(service?.value.stringValue, "edge-1");
    // What is sent by the end of the process has the spans.
    assert.ok(receiver.spans.includes("GET"), receiver.spans.join());
  },
});
