import assert from "node:assert/strict";
import { httpPaths } from "../../../src/http/paths.ts";
import type { Metrics } from "../../../src/metrics/metrics.ts";
import type { StatusSources } from "../../../src/status/status.ts";

/** Metrics that take a while to write, and say how often they have been written. */
class CostlyMetrics {
  readonly contentType = "text/plain";
  written = 0;
  readonly #costMs: number;
  readonly #scrape: () => unknown;

  constructor(costMs: number) {
    this.#costMs = costMs;
    const paths = httpPaths(this as unknown as Metrics, {} as StatusSources);
    this.#scrape = () => paths.get("/metrics")?.("");
  }

  render(): Promise<string> {
    const begun = performance.now();
    while (performance.now() - begun < this.#costMs);
    this.written++;
    return this.written === 1 ? Promise.reject(new Error("a bug")) : Promise.resolve(
      `${this.written}`,
    );
  }

  async scrape(): Promise<string> {
    const { body } = await this.#scrape() as { body: Uint8Array };
    return new TextDecoder().decode(body);
  }
}

Deno.test("Scrapes at once share a rendering, and none is older than its scrape, whatever the last one came to", async () => {
  const metrics = new CostlyMetrics(0);
  const atOnce = () => Array.from({ length: 60 }, () => metrics.scrape());
  const failed = await Promise.allSettled(atOnce());
  assert.ok(failed.every(({ status }) => status === "rejected"));
  for (let nth = 2; nth < 10; nth++) {
    assert.deepEqual(new Set(await Promise.all(atOnce())), new Set([`${nth}`]));
  }
});

Deno.test("Scrapers without end take a quarter of the time, however many they are", async () => {
  const metrics = new CostlyMetrics(10);
  await metrics.scrape().catch(() => {});
  const begun = performance.now();
  await Promise.all(Array.from({ length: 60 }, async () => {
    for (let nth = 0; nth < 10; nth++) await metrics.scrape();
  }));
  assert.equal(metrics.written, 11);
  assert.ok(performance.now() - begun > 10 * 4 * 10 * 0.9);
});
