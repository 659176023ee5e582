import { Backends } from "./backends.ts";
import type { Checker } from "./check/checker.ts";
import { Damping } from "./check/damping.ts";
import { type Configuration, effectiveConfiguration } from "./config/configuration.ts";
import { reasonOf, stackOf } from "./describe_error.ts";
import { httpPaths } from "./http/paths.ts";
import { type HttpPaths, HttpServer } from "./http/server.ts";
import type { Logs } from "./log/log.ts";
import {
  addBackendMetrics,
  addCertificateMetrics,
  addPatienceMetrics,
  addProcessMetrics,
} from "./metrics/collectors.ts";
import type { Metrics } from "./metrics/metrics.ts";
import { Recorder } from "./metrics/recorder.ts";
import { formatHostPort } from "./protocol/host.ts";
import { Handler } from "./server/handler.ts";
import { findListenAddresses, listenOn } from "./server/listen.ts";
import { ClientPatience } from "./server/patience.ts";
import { type Admission, Server } from "./server/server.ts";
import { BackendHistory } from "./status/history.ts";
import { type OwnCertificate, ownCertificates } from "./tls/client_certificate.ts";

const METRICS_LEFT_OUT = "Cannot listen: going on without metrics there";

/** What a change of the configuration replaces as a whole. */
interface InForce {
  readonly configuration: Configuration;
  readonly checker: Checker;
  readonly handler: Handler;
  readonly admission: Admission;
}

/** A running agent: it listens for HAProxy, and for scrapers and probes. */
export class Agent {
  readonly #logs: Logs;
  readonly #metrics: Metrics;
  readonly #damping = new Damping(() => performance.now());
  readonly #history = new BackendHistory(() => performance.now());
  readonly #backends: Backends;
  readonly #recorder: Recorder;
  readonly #patience: ClientPatience;
  readonly #server: Server;
  readonly #running: Promise<void>;
  readonly #http: HttpServer[] = [];
  #inForce: InForce;
  #stopping = false;

  /**
   * Starts listening.
   *
   * @param metrics shows what it does
   * @throws {ListenError} when `server_bind_address` and `server_port` cannot be listened on
   */
  static async start(configuration: Configuration, logs: Logs, metrics: Metrics): Promise<Agent> {
    const { settings } = configuration;
    const listeners = await listenOn(
      settings.server_bind_address,
      settings.server_port,
      logs.server,
    );
    const agent = new Agent(configuration, logs, metrics, listeners);
    if (settings.metrics_enabled) await agent.#startHttp(configuration);
    return agent;
  }

  private constructor(
    configuration: Configuration,
    logs: Logs,
    metrics: Metrics,
    listeners: readonly Deno.TcpListener[],
  ) {
    this.#logs = logs;
    this.#metrics = metrics;
    const { log_checks: logChecks } = configuration.settings;
    this.#recorder = new Recorder(metrics, logs, this.#history, logChecks);
    this.#patience = new ClientPatience(() => performance.now(), this.#recorder);
    this.#backends = new Backends(configuration, metrics);
    this.#inForce = this.#build(configuration);
    this.#server = new Server(
      listeners,
      () => this.#inForce.admission,
      (line, peer) => this.#inForce.handler.handle(line, peer),
      this.#metrics,
      logs.server,
    );
    this.#running = this.#server.run();
  }

  /**
   * Puts another configuration in force, for open connections too, except for their limits. Checks under way end
   * under the configuration that they began with.
   */
  reconfigure(configuration: Configuration): void {
    this.#backends.reconfigure(configuration);
    this.#inForce = this.#build(configuration);
    this.#recorder.logChecks = configuration.settings.log_checks;
    this.#history.keepOnly(({ tlsProfile }) => configuration.tlsProfiles.has(tlsProfile));
    if (!configuration.settings.learn_patience) this.#patience.clear();
    this.#server.dismissClients();
    this.#metrics.reloadSuccessful.set(1);
  }

  /** Takes note of a configuration that could not be put in force. */
  configurationFailed(): void {
    this.#metrics.reloadSuccessful.set(0);
  }

  /** Stops listening, has the checks under way answered, closes the connections. A stop makes no check `down`. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#server.stop();
    await this.#running;
    this.#backends.close();
    await Promise.all(this.#http.map((http) => http.stop()));
  }

  #build(configuration: Configuration): InForce {
    const { settings, clientRules } = configuration;
    const checker = this.#backends.checkerFor(configuration);
    const handler = new Handler(
      {
        fall: settings.fall,
        rise: settings.rise,
        notServingReply: settings.not_serving_reply,
        reason: settings.reply_reason,
      },
      checker,
      this.#damping,
      this.#recorder,
      settings.learn_patience ? this.#patience : undefined,
    );
    const limits = {
      maxLineBytes: settings.max_line_bytes,
      requestTimeoutMs: settings.request_timeout_ms,
      idleTimeoutMs: settings.idle_timeout_ms,
    };
    const maxConnections = settings.max_connections;
    return {
      configuration,
      checker,
      handler,
      admission: { clientRules, maxConnections, limits },
    };
  }

  /** The agent works without its metrics, so a port that is taken is only logged. */
  async #startHttp({ settings }: Configuration): Promise<void> {
    const { metrics_bind_address: host, metrics_port: port } = settings;
    const { registry } = this.#metrics;
    addProcessMetrics(registry);
    addBackendMetrics(
      registry,
      this.#history,
      () => this.#inForce.configuration.settings.metrics_backend_up,
    );
    addPatienceMetrics(registry, () => [...this.#patience.learnt()].length);
    addCertificateMetrics(registry, () => this.#certificates());
    const paths = this.#makeHttpPaths();
    try {
      for (const { address } of await findListenAddresses([host], this.#logs.metrics)) {
        this.#http.push(this.#serveHttp(address, port, paths));
      }
    } catch (error) {
      this.#logs.metrics.error(METRICS_LEFT_OUT, { address: host, error: reasonOf(error) });
    }
  }

  #serveHttp(hostname: string, port: number, paths: HttpPaths): HttpServer {
    const { metrics: log } = this.#logs;
    const address = formatHostPort(hostname, port);
    const http = new HttpServer(hostname, port, paths, {
      onBug: (error) => {
        log.error("A bug in the agent ended an HTTP request", { error: stackOf(error) });
      },
      onDeaf: (error) => {
        log.error("Cannot accept HTTP connections: trying on", { address, error: String(error) });
      },
      onRecovered: () => log.info("HTTP connections are accepted again", { address }),
    });
    http.listening.then(
      () => log.info("Listening", { address }),
      (error) => log.error(METRICS_LEFT_OUT, { address, error: reasonOf(error) }),
    );
    return http;
  }

  #certificates(): readonly OwnCertificate[] {
    return ownCertificates(this.#inForce.configuration.tlsProfiles.values());
  }

  #makeHttpPaths(): HttpPaths {
    return httpPaths(this.#metrics, {
      history: this.#history,
      metrics: this.#metrics,
      channelFor: (question) => this.#inForce.checker.connectionState(question),
      learntPatience: () => this.#patience.learnt(),
      configuration: () => effectiveConfiguration(this.#inForce.configuration),
      certificates: () => this.#certificates(),
      ready: () => !this.#stopping,
      now: Date.now,
      uptime: () => performance.now(),
    });
  }
}
