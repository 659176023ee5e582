import type { Metrics } from "./metrics.ts";

/** Serves metrics and probes over HTTP. */
export class HttpServer {
  readonly #server: Deno.HttpServer;

  /**
   * Starts listening.
   *
   * @param ready whether the agent accepts checks, for `/readyz`
   * @throws when the address cannot be listened on
   */
  constructor(hostname: string, port: number, metrics: Metrics, ready: () => boolean) {
    this.#server = Deno.serve(
      { hostname, port, onListen: () => {}, onError: () => new Response(null, { status: 500 }) },
      (request) => respond(request, metrics, ready),
    );
  }

  /** Stops listening; requests under way are answered. */
  stop(): Promise<void> {
    return this.#server.shutdown();
  }
}

async function respond(
  request: Request,
  metrics: Metrics,
  ready: () => boolean,
): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (!["/metrics", "/healthz", "/readyz"].includes(pathname)) return text(404, "Not found\n");
  if (request.method !== "GET" && request.method !== "HEAD") {
    return text(405, "Method not allowed\n", { allow: "GET, HEAD" });
  }
  switch (pathname) {
    case "/metrics":
      return text(200, await metrics.render(), { "content-type": metrics.contentType });
    case "/readyz":
      return ready() ? text(200, "ready\n") : text(503, "stopping\n");
    default:
      return text(200, "ok\n");
  }
}

function text(status: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...headers },
  });
}
