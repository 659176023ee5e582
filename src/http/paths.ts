import type { Metrics } from "../metrics/metrics.ts";
import { REFRESH_S, STATUS_PAGE_POLICY, statusPage } from "../status/page.ts";
import { collectStatus, type StatusSources } from "../status/status.ts";
import type { HttpAnswer, HttpPaths } from "./server.ts";

/** @returns what the agent shows of itself over HTTP */
export function httpPaths(metrics: Metrics, sources: StatusSources): HttpPaths {
  const page = (refreshes: boolean) =>
    new Rendered(() => statusPage(collectStatus(sources), refreshes));
  const still = page(false);
  const refreshing = page(true);
  const text = new SharedRendering(() => metrics.render());
  const json = new Rendered(() => `${JSON.stringify(collectStatus(sources), null, 1)}\n`);
  return new Map<string, (query: string) => HttpAnswer | Promise<HttpAnswer>>([
    ["/healthz", () => ({ body: "ok\n" })],
    ["/readyz", () => sources.ready() ? { body: "ready\n" } : { status: 503, body: "stopping\n" }],
    ["/metrics", async () => ({ contentType: metrics.contentType, body: await text.get() })],
    ["/api/status", () => ({ contentType: "application/json", body: json.get() })],
    ["/", (query) => {
      const refreshes = query === "refresh" || query === "refresh=";
      return {
        contentType: "text/html; charset=utf-8",
        headers: {
          "content-security-policy": STATUS_PAGE_POLICY,
          ...(refreshes ? { refresh: `${REFRESH_S}` } : {}),
        },
        body: (refreshes ? refreshing : still).get(),
      };
    }],
  ]);
}

/** How long what is costly to make is kept, in milliseconds: requests without a pause make it no more often. */
const KEPT_MS = 1000;

/** Something that is costly to make, kept for a moment. */
class Rendered {
  readonly #render: () => string;
  #bytes: Uint8Array | undefined;
  #at = -Infinity;

  /** @param render makes it anew */
  constructor(render: () => string) {
    this.#render = render;
  }

  /** @returns what was rendered, at most {@linkcode KEPT_MS} ago */
  get(): Uint8Array {
    const now = performance.now();
    if (this.#bytes === undefined || now - this.#at >= KEPT_MS) {
      this.#at = now;
      this.#bytes = new TextEncoder().encode(this.#render());
    }
    return this.#bytes;
  }
}

/** How long nothing is rendered after a rendering, in the time that it took, and in milliseconds at most. */
const PAUSE_FACTOR = 3;
const MAX_PAUSE_MS = 1000;

/**
 * Something that is costly to make and must not be older than the question: all that ask meanwhile share the next one,
 * and all of them together, however many, take a quarter of the agent's time.
 */
class SharedRendering {
  readonly #render: () => Promise<string>;
  #next: Promise<Uint8Array> | undefined;
  /** Settles when the next one may begin. */
  #pause = Promise.resolve();

  /** @param render makes it anew */
  constructor(render: () => Promise<string>) {
    this.#render = render;
  }

  get(): Promise<Uint8Array> {
    return this.#next ??= this.#pause.then(() => this.#make());
  }

  async #make(): Promise<Uint8Array> {
    this.#next = undefined; // who asks from here on shall have what happens from here on
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pause = promise;
    const begun = performance.now();
    try {
      return new TextEncoder().encode(await this.#render());
    } finally {
      const pauseMs = (performance.now() - begun) * PAUSE_FACTOR;
      setTimeout(resolve, Math.min(pauseMs, MAX_PAUSE_MS));
    }
  }
}
