import type { HealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { LIBRARIES, type Library } from "../lab/backends/libraries/library_backends.ts";
import { Front, wayTo } from "../lab/backends/peers/front.ts";
import { healthyPeer } from "../lab/backends/peers/http2_peer.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { RollingBackend } from "./address_faults.ts";
import { PLAIN_FAULTS, PROCESS_FAULTS, ROLLING_FAULTS, tlsFaults } from "./faults.ts";
import type { Injection, ScheduledBackend, SoakFault } from "./schedule.ts";
import { Target } from "./timeline.ts";

/** How many backends there are. */
const BACKENDS = 50;

/** Processes of each library, on ports of their own. */
const PROCESSES = 6;

/** Backends of each library that get rolling updates. */
const ROLLING = 1;

/** Addresses that lead to a TLS server of each library. */
const TLS = 5;

/** One backend in so many of a kind is asked in bursts only. */
const RARE_EVERY = 5;

/** Connections to every other process grow no older than this, in milliseconds. */
const CONNECTION_AGE_MS = 2000;

const SERVICE = "soak.v1.Orders";

/** One backend, with what can happen to it. */
export interface FleetMember extends ScheduledBackend {
  readonly kind: string;
  readonly targets: readonly Target[];
}

/** All backends of a soak. */
export class Fleet implements AsyncDisposable {
  readonly members: FleetMember[] = [];
  /** What could not be had on this machine. */
  readonly missing: string[] = [];
  #owned = new AsyncDisposableStack();
  #caFile = "";

  /** The file of the authority that the agent must trust. */
  get caFile(): string {
    return this.#caFile;
  }

  /** Starts every backend; all are up then. */
  static async start(): Promise<Fleet> {
    const fleet = new Fleet();
    try {
      await fleet.#start();
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }

  async #start(): Promise<void> {
    const libraries = LIBRARIES.filter((library) => {
      const problem = library.problem();
      if (problem !== undefined) this.missing.push(`${nameOf(library)}: ${problem}`);
      return problem === undefined;
    });
    for (const library of libraries) {
      for (let nth = 1; nth <= PROCESSES; nth++) {
        const aging = nth % 2 === 0 ? { maxConnectionAgeMs: CONNECTION_AGE_MS } : {};
        const services = { "": "SERVING", [SERVICE]: "SERVING" } as const;
        const backend = this.#owned.use(
          await library.start({ services: { ...services }, ...aging }),
        );
        this.#addProcess(`${nameOf(library)} ${nth}`, nameOf(library), backend, nth);
      }
      for (let nth = 1; nth <= ROLLING; nth++) {
        const rolling = this.#owned.use(await RollingBackend.start(library));
        const name = `${nameOf(library)} rolling ${nth}`;
        const target = new Target(name, [plainLine(rolling.front.port, "a.test")]);
        this.#add(name, "rolling", [target], ROLLING_FAULTS, rolling);
      }
    }
    await this.#addTls(libraries);
    for (let nth = 1; this.members.length < BACKENDS; nth++) this.#addPlain(nth);
  }

  #addPlain(nth: number): void {
    const front = this.#owned.use(new Front(healthyPeer()));
    const name = `raw ${nth}`;
    const lines = [plainLine(front.port, "a.test"), plainLine(front.port, "b.test")] as const;
    const target = new Target(name, lines, { rare: nth % RARE_EVERY === 0 });
    this.#add(name, "raw HTTP/2", [target], PLAIN_FAULTS, {
      name,
      front,
      healthy: healthyPeer,
      target,
    });
  }

  #addProcess(name: string, kind: string, backend: HealthBackend, nth: number): void {
    const rare = nth % RARE_EVERY === 0;
    const targets = new Map(["", SERVICE].map((service) => {
      const option = service === "" ? "" : ` service=${service}`;
      const lines = [
        `${plainLine(backend.port, "a.test")}${option}`,
        `${plainLine(backend.port, "b.test")}${option}`,
      ] as const;
      return [service, new Target(name, lines, { service, rare })];
    }));
    this.#add(name, kind, [...targets.values()], PROCESS_FAULTS, { name, backend, targets });
  }

  async #addTls(libraries: readonly Library[]): Promise<void> {
    const authority = this.#owned.use(await CertificateAuthority.create());
    const stranger = this.#owned.use(await CertificateAuthority.create());
    this.#caFile = authority.caFile;
    const names = ["tls.test"];
    const right = await authority.issue("tls.test", { names });
    const [first] = libraries;
    if (first === undefined) throw new Error("There is no gRPC library");
    const start = async (tls: { cert: string; key: string } | undefined) =>
      this.#owned.use(await first.start(tls === undefined ? {} : { tls })).port;
    const faults = tlsFaults({
      expiredPort: await start(await authority.issue("tls.test", { names, expired: true })),
      wrongNamePort: await start(await authority.issueServer("else.test")),
      strangerPort: await start(await stranger.issue("tls.test", { names })),
      plainPort: await start(undefined),
    });
    for (const library of libraries) {
      const options = { tls: right, maxConnectionAgeMs: CONNECTION_AGE_MS };
      const server = this.#owned.use(await library.start(options));
      for (let nth = 1; nth <= TLS; nth++) {
        const healthy = () => wayTo(server.port);
        const front = this.#owned.use(new Front(healthy()));
        const name = `${nameOf(library)} TLS ${nth}`;
        const line = `127.0.0.1 ${front.port} ssl tls.test`;
        const target = new Target(name, [line], { rare: nth % RARE_EVERY === 0 });
        this.#add(name, `${nameOf(library)}, TLS`, [target], faults, {
          name,
          front,
          healthy,
          target,
        });
      }
    }
  }

  #add<Backend>(
    name: string,
    kind: string,
    targets: readonly Target[],
    faults: readonly SoakFault<Backend>[],
    backend: Backend,
  ): void {
    const scheduled = faults.map((fault) => ({
      ...fault,
      inject: (injection: Injection) => fault.inject(backend, injection),
    }));
    this.members.push({ name, kind, targets, faults: scheduled });
  }
}

/** The library as the names of backends have it. */
function nameOf({ name }: Library): string {
  return name.toLowerCase().replace(" ", "-");
}

function plainLine(port: number, authority: string): string {
  return `127.0.0.1 ${port} no-ssl ${authority}`;
}
