import type { HttpAnswer, HttpPaths } from "./http_server.ts";
import type { Metrics } from "./metrics.ts";
import { Rendered } from "./rendered.ts";
import { STATUS_PAGE_POLICY, statusPage } from "./status_page.ts";
import { collectStatus, type StatusSources } from "./status.ts";

/** How often the page reloads itself where that is wanted, in seconds. */
const REFRESH_S = 5;

/** @returns what the agent shows of itself over HTTP */
export function httpPaths(metrics: Metrics, sources: StatusSources): HttpPaths {
  const page = (refreshes: boolean) =>
    new Rendered(async () => statusPage(await collectStatus(sources), refreshes));
  const still = page(false);
  const refreshing = page(true);
  const json = new Rendered(async () =>
    `${JSON.stringify(await collectStatus(sources), null, 1)}\n`
  );
  return new Map<string, (query: string) => HttpAnswer | Promise<HttpAnswer>>([
    ["/healthz", () => ({ body: "ok\n" })],
    ["/readyz", () => sources.ready() ? { body: "ready\n" } : { status: 503, body: "stopping\n" }],
    ["/metrics", async () => ({
      contentType: metrics.contentType,
      body: await metrics.render(),
    })],
    ["/api/status", async () => ({ contentType: "application/json", body: await json.get() })],
    ["/", async (query) => {
      const refreshes = query === "refresh" || query === "refresh=";
      return {
        contentType: "text/html; charset=utf-8",
        headers: {
          "content-security-policy": STATUS_PAGE_POLICY,
          ...(refreshes ? { refresh: `${REFRESH_S}` } : {}),
        },
        body: await (refreshes ? refreshing : still).get(),
      };
    }],
  ]);
}
