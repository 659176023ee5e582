import {
  createServer,
  get,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { Socket } from "node:net";
import { loopbackOf } from "../protocol/host.ts";

/** How many connections may be open; one more closes the one that has been open longest. */
const MAX_CONNECTIONS = 64;

/** The longest header of a request, in bytes. */
const MAX_HEADER_BYTES = 8192;

/** How long a client may keep the server waiting, in milliseconds. */
export interface HttpLimits {
  /** From the opening, or from the first byte of a further request, to the end of its header. */
  readonly headersMs: number;
  /** The same to the end of the request. */
  readonly requestMs: number;
  /** For taking an answer. */
  readonly answerMs: number;
}

const LIMITS: HttpLimits = { headersMs: 5000, requestMs: 10_000, answerMs: 30_000 };

/** How long a connection is kept for the next request, in milliseconds: longer than from scrape to scrape. */
const KEEP_ALIVE_MS = 75_000;

/** How long requests under way may take when the server stops, in milliseconds. */
const STOP_MS = 100;

/** How often a server asks itself whether it still answers, in milliseconds. */
const PROBE_MS = 5000;

/** How long it may take over that answer, in milliseconds. */
const PROBE_TIMEOUT_MS = 2000;

/** How long to wait between attempts to listen again, in milliseconds. */
const RELISTEN_MS = 1000;

/** What every response carries: pages that show the agent's inside must not be cached, framed or sniffed. */
const SECURITY_HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** What a path answers to GET. */
export interface HttpAnswer {
  /** @default {200} */
  readonly status?: number;
  /** @default {"text/plain; charset=utf-8"} */
  readonly contentType?: string;
  /** Instead of those that every response carries. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** The answer of each path, given what follows `?` in the request. */
export type HttpPaths = ReadonlyMap<string, (query: string) => HttpAnswer | Promise<HttpAnswer>>;

/** What a server tells its owner. */
export interface HttpObserver {
  /** A path threw instead of answering: a bug. */
  readonly onBug: (error: unknown) => void;
  /** It no longer answers: no file descriptor is left, say. It keeps trying by itself. */
  readonly onDeaf: (error: unknown) => void;
  /** It answers again. */
  readonly onRecovered: () => void;
}

/**
 * Serves a few paths over HTTP, for GET and HEAD.
 *
 * It is built on node:http because `Deno.serve` bounds neither connections nor the time that a request
 * takes: whoever reaches the port must not be able to use up what checks need.
 *
 * When there was once no file descriptor for a connection, Deno's HTTP servers (node:http and `Deno.serve`) accept no
 * further one, without an error, and failing probes would have a healthy agent killed. So the server sends itself a
 * request now and then, and listens anew where it gets no answer. This can go when
 * tests/integration/descriptors_test.ts passes without it.
 */
export class HttpServer {
  /** Settles when it listens; rejects when it cannot. */
  readonly listening: Promise<void>;
  readonly #hostname: string;
  readonly #port: number;
  readonly #paths: HttpPaths;
  readonly #observer: HttpObserver;
  readonly #limits: HttpLimits;
  /** In the order in which they were opened. */
  readonly #connections = new Set<Socket>();
  readonly #answering = new WeakSet<Socket>();
  #server: Server;
  /** For the next self-probe, or the next attempt to listen. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  /** Starts listening. */
  constructor(
    hostname: string,
    port: number,
    paths: HttpPaths,
    observer: HttpObserver,
    limits: HttpLimits = LIMITS,
  ) {
    this.#hostname = hostname;
    this.#port = port;
    this.#paths = paths;
    this.#observer = observer;
    this.#limits = limits;
    this.#server = this.#create();
    this.listening = this.#listen().then(() => this.#probeLater());
  }

  /** Stops listening and closes all connections; requests under way have a moment to end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => {
      for (const socket of this.#connections) socket.destroy();
    }, STOP_MS);
    await closed;
    clearTimeout(timer);
  }

  #create(): Server {
    const { headersMs, requestMs } = this.#limits;
    const server = createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: Math.min(1000, headersMs / 2),
    }, (request, response) => this.#respond(request, response));
    server.on("connection", (socket) => this.#own(socket));
    return server;
  }

  #listen(): Promise<void> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      server.on("error", reject);
      server.listen(this.#port, this.#hostname, resolve);
    });
  }

  #probeLater(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(async () => {
      const failure = await failureToAnswer(this.#hostname, this.#port);
      if (failure === undefined) return this.#probeLater();
      if (this.#stopped) return;
      this.#observer.onDeaf(failure);
      await this.#listenAnew();
    }, PROBE_MS);
  }

  async #listenAnew(): Promise<void> {
    this.#server.close();
    this.#server = this.#create();
    try {
      await this.#listen();
      if (this.#stopped) return void this.#server.close();
      this.#observer.onRecovered();
      this.#probeLater();
    } catch { // onDeaf has told that it does not answer
      if (!this.#stopped) this.#timer = setTimeout(() => this.#listenAnew(), RELISTEN_MS);
    }
  }

  /**
   * One request at a time: a client that sends another before the answer to the first (neither browsers nor
   * Prometheus do) could have any number of pages waiting in memory.
   */
  #respond(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    if (this.#answering.has(socket)) {
      socket.destroy();
      return;
    }
    this.#answering.add(socket);
    const timer = setTimeout(() => socket.destroy(), this.#limits.answerMs);
    response.once("close", () => {
      clearTimeout(timer);
      this.#answering.delete(socket);
    });
    answer(request, this.#paths)
      .catch((error): HttpAnswer => {
        this.#observer.onBug(error);
        return { status: 500, body: "Internal error\n" };
      })
      .then((answer) => write(answer, request, response));
  }

  #own(socket: Socket): void {
    this.#connections.add(socket);
    socket.once("close", () => this.#connections.delete(socket));
    if (this.#connections.size <= MAX_CONNECTIONS) return;
    const [oldest] = this.#connections;
    if (oldest !== undefined) {
      this.#connections.delete(oldest);
      oldest.destroy();
    }
  }
}

/**
 * Asks a server of this process whether it still answers.
 *
 * @returns an error where it gave no answer in time; `undefined` where it gave any, and also where the request itself
 * failed, which says nothing of the server
 */
function failureToAnswer(hostname: string, port: number): Promise<Error | undefined> {
  const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  return new Promise((resolve) => {
    const host = loopbackOf(hostname);
    get({ host, port, method: "HEAD", path: "/healthz", agent: false, signal }, (response) => {
      response.resume();
      resolve(undefined);
    }).on("error", (error) => resolve(signal.aborted ? error : undefined));
  });
}

async function answer(request: IncomingMessage, paths: HttpPaths): Promise<HttpAnswer> {
  // RFC 9112, section 3.2.2: a request to a proxy names scheme and host before the path.
  const target = (request.url ?? "").replace(/^http:\/\/[^/]*/, "");
  const [path = "", query = ""] = target.split("?", 2);
  const give = paths.get(path);
  if (give === undefined) return { status: 404, body: "Not found\n" };
  if (request.method !== "GET" && request.method !== "HEAD") {
    return { status: 405, body: "Method not allowed\n", headers: { allow: "GET, HEAD" } };
  }
  return await give(query);
}

function write(answer: HttpAnswer, request: IncomingMessage, response: ServerResponse): void {
  const { status = 200, contentType = "text/plain; charset=utf-8", headers, body } = answer;
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  response.writeHead(status, {
    ...SECURITY_HEADERS,
    "content-type": contentType,
    "content-length": bytes.length,
    // The body of a refused request is not read.
    ...(status === 405 ? { connection: "close" } : {}),
    ...headers,
  });
  response.end(request.method === "HEAD" ? undefined : bytes);
}
