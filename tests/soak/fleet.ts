import type { HealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { Front, wayTo } from "../lab/backends/peers/front.ts";
import { healthAnswer, http2Peer } from "../lab/backends/peers/http2_peer.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import type { Random } from "../lab/testing/random.ts";
import { PLAIN_FAULTS, tlsFaults } from "./address_faults.ts";
import type { SoakFault } from "./faults.ts";
import { IMPLEMENTATIONS } from "./implementations.ts";
import { PROCESS_FAULTS } from "./process_faults.ts";
import { ROLLING_FAULTS, RollingBackend } from "./rolling_backend.ts";
import { Target } from "./target.ts";

/** How many backends there are. */
const BACKENDS = 50;

/** Processes of each implementation, on ports of their own. */
const PROCESSES = 6;

/** Backends of each implementation that get rolling updates. */
const ROLLING = 1;

/** Addresses that lead to a TLS server of each implementation. */
const TLS = 5;

/** Every how manieth backend of a kind is asked in bursts only. */
const RARE_EVERY = 5;

/** Connections to every other process grow no older than this, in milliseconds. */
const CONNECTION_AGE_MS = 2000;

const SERVICE = "soak.v1.Orders";

/** One backend, with what can happen to it. */
export interface FleetMember {
  readonly name: string;
  readonly kind: string;
  readonly targets: readonly Target[];
  readonly faults: readonly { readonly name: string; readonly truth: string }[];
  /** Lets the fault of this number happen; it ends with the backend up. */
  readonly run: (fault: number, hold: () => Promise<void>, random: Random) => Promise<void>;
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
    const implementations = IMPLEMENTATIONS.filter(({ name, missing }) => {
      const reason = missing();
      if (reason !== undefined) this.missing.push(`${name}: ${reason}`);
      return reason === undefined;
    });
    for (const implementation of implementations) {
      for (let nth = 1; nth <= PROCESSES; nth++) {
        const aging = nth % 2 === 0 ? { maxConnectionAgeMs: CONNECTION_AGE_MS } : {};
        const services = { "": "SERVING", [SERVICE]: "SERVING" } as const;
        const backend = this.#owned.use(
          await implementation.start({ services: { ...services }, ...aging }),
        );
        this.#addProcess(`${implementation.name} ${nth}`, implementation.name, backend, nth);
      }
      for (let nth = 1; nth <= ROLLING; nth++) {
        const rolling = this.#owned.use(await RollingBackend.start(implementation));
        const name = `${implementation.name} rolling ${nth}`;
        const target = new Target(name, [plainLine(rolling.front.port, "a.test")]);
        this.#add(name, "rolling", [target], ROLLING_FAULTS, { name, rolling });
      }
    }
    await this.#addTls(implementations);
    for (let nth = 1; this.members.length < BACKENDS; nth++) this.#addPlain(nth);
  }

  #addPlain(nth: number): void {
    const healthy = () =>
      http2Peer({ answer: ({ streamId, send }) => send(healthAnswer(streamId)) });
    const front = this.#owned.use(new Front(healthy()));
    const name = `raw ${nth}`;
    const lines = [plainLine(front.port, "a.test"), plainLine(front.port, "b.test")] as const;
    const target = new Target(name, lines, { rare: nth % RARE_EVERY === 0 });
    this.#add(name, "raw HTTP/2", [target], PLAIN_FAULTS, { name, front, healthy, target });
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

  async #addTls(implementations: typeof IMPLEMENTATIONS): Promise<void> {
    const authority = this.#owned.use(await CertificateAuthority.create());
    const stranger = this.#owned.use(await CertificateAuthority.create());
    this.#caFile = authority.caFile;
    const names = ["tls.test"];
    const right = await authority.issue("tls.test", { names });
    const [first] = implementations;
    if (first === undefined) throw new Error("There is no implementation of gRPC");
    const start = async (tls: { cert: string; key: string } | undefined) =>
      this.#owned.use(await first.start(tls === undefined ? {} : { tls })).port;
    const faults = tlsFaults({
      expiredPort: await start(await authority.issue("tls.test", { names, expired: true })),
      wrongNamePort: await start(await authority.issue("else.test", { names: ["else.test"] })),
      strangerPort: await start(await stranger.issue("tls.test", { names })),
      plainPort: await start(undefined),
    });
    for (const implementation of implementations) {
      const options = { tls: right, maxConnectionAgeMs: CONNECTION_AGE_MS };
      const server = this.#owned.use(await implementation.start(options));
      for (let nth = 1; nth <= TLS; nth++) {
        const healthy = () => wayTo(server.port);
        const front = this.#owned.use(new Front(healthy()));
        const name = `${implementation.name} TLS ${nth}`;
        const line = `127.0.0.1 ${front.port} ssl tls.test`;
        const target = new Target(name, [line], { rare: nth % RARE_EVERY === 0 });
        this.#add(name, `${implementation.name}, TLS`, [target], faults, {
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
    this.members.push({
      name,
      kind,
      targets,
      faults,
      run: async (fault, hold, random) => await faults[fault]?.run(backend, hold, random),
    });
  }
}

function plainLine(port: number, authority: string): string {
  return `127.0.0.1 ${port} no-ssl ${authority}`;
}
