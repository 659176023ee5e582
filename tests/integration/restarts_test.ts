import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import {
  type HealthBackend,
  type HealthBackendOptions,
  startHealthBackend,
} from "../lab/backends/libraries/health_backend.ts";
import {
  startGoBackend,
  startPythonBackend,
  testWithBackends,
  testWithGo,
  testWithPython,
} from "../lab/backends/libraries/library_backends.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { eventually } from "../lab/testing/eventually.ts";

/** With one of the libraries; the others show by a few that they restart alike. */
const MANY_RESTARTS = 30;
const FEW_RESTARTS = 6;
const FLAGS = ["--log-level", "warn"];
const CHECK_INTERVAL_MS = 50;
/** Checks that must lie within each life of the backend. */
const CHECKS_PER_LIFE = 5;

const AGE_MS = 300;
/** Connections of each backend that grow that old while it is asked. */
const AGED = 40;

/** A stretch of time by this process' clock, in milliseconds. */
interface Span {
  from: number;
  to: number;
}

/** A check, from before its connection is made until its answer is read. */
interface TimedCheck extends Span {
  reply: string;
}

/** Asks every {@linkcode CHECK_INTERVAL_MS}, without waiting for earlier answers. */
class Prober implements AsyncDisposable {
  readonly done: TimedCheck[] = [];
  #underWay = new Set<Promise<void>>();
  #failure: unknown;
  #timer: ReturnType<typeof setInterval>;

  constructor(agent: AgentProcess, line: string) {
    this.#timer = setInterval(() => {
      const check = this.#check(agent, line)
        .catch((error) => this.#failure = error)
        .finally(() => this.#underWay.delete(check));
      this.#underWay.add(check);
    }, CHECK_INTERVAL_MS);
  }

  /** Whether so many checks have begun after a moment and are answered. */
  hasDone(count: number, since: number): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    return this.done.filter(({ from }) => from >= since).length >= count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
  }

  async #check(agent: AgentProcess, line: string): Promise<void> {
    const from = performance.now();
    const reply = await agent.ask(line);
    this.done.push({ from, to: performance.now(), reply });
  }
}

/**
 * Restarts a backend again and again under checks.
 *
 * The proof that the backend listened for the whole of a check: a life begins when the backend's word
 * that it listens has been read, and ends before it is told to stop; both are moments of this process'
 * clock, and so are the beginning and the end of a check. A check that lies within a life must be up.
 * A delay in this process makes lives shorter and checks longer, so it can only leave a check out.
 */
async function checkRestarts(backend: HealthBackend, restarts: number): Promise<void> {
  await withAgent({ flags: FLAGS }, async (agent) => {
    const lives: Span[] = [];
    let checks: TimedCheck[] = [];
    {
      await using prober = new Prober(agent, backend.line());
      for (let restart = 0; restart <= restarts; restart++) {
        const from = performance.now();
        await eventually("checks within this life", () => prober.hasDone(CHECKS_PER_LIFE, from));
        lives.push({ from, to: performance.now() });
        if (restart % 2 === 0) await backend.kill();
        else await backend.close();
        await backend.start();
      }
      checks = prober.done;
    }
    const within = checks.filter((check) =>
      lives.some((life) => life.from <= check.from && check.to <= life.to)
    );
    const wrong = within.filter(({ reply }) => reply !== "up\n");
    assert.deepEqual(wrong, [], `Of ${within.length} checks of a listening backend`);
    assert.ok(within.length >= restarts * CHECKS_PER_LIFE);
    assert.deepEqual(checks.filter(({ reply }) => reply !== "up\n" && reply !== "down\n"), []);
  });
}

async function checkConnectionAge(
  start: (options: HealthBackendOptions) => Promise<HealthBackend>,
): Promise<void> {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issueServer();
  await using plain = await start({ maxConnectionAgeMs: AGE_MS });
  await using secure = await start({ maxConnectionAgeMs: AGE_MS, tls });
  const ca = ["--tls-ca-file", authority.caFile];
  await withAgent({ flags: [...FLAGS, ...ca] }, async (agent) => {
    let ended = false;
    let checks = 0;
    const lines = [
      // Two that share a channel, and one that has its own.
      plain.line({ authority: "shared.test" }),
      plain.line({ authority: "shared.test" }),
      plain.line({ authority: "own.test" }),
      secure.line(),
    ];
    const asking = lines.map(async (line) => {
      using client = await agent.connect();
      for (; !ended; checks++) {
        assert.equal(await client.ask(line), "up\n", `Check ${checks}`);
        await new Promise((resolve) => setTimeout(resolve, 5)); // Leaves the connection idle at times.
      }
    });
    const haveAged = Promise.all(
      [plain, secure].map((backend) =>
        eventually(`${AGED} connections to grow old`, async () => {
          return (await backend.report()).connections > AGED;
        }, { timeoutMs: 120_000, everyMs: 200 })
      ),
    );
    // A check that fails is told at once.
    await Promise.race([haveAged, Promise.all(asking)]).finally(() => ended = true);
    await Promise.all(asking);
    assert.ok(checks > 4 * AGED, `Only ${checks} checks`);
  });
}

testWithGo(
  `a Go backend that restarts ${MANY_RESTARTS} times is up in every check while it listens`,
  async () => {
    await using backend = await startGoBackend();
    await checkRestarts(backend, MANY_RESTARTS);
  },
);

Deno.test(`a grpc-js backend that restarts ${FEW_RESTARTS} times is up in every check while it listens`, async () => {
  await using backend = await startHealthBackend();
  await checkRestarts(backend, FEW_RESTARTS);
});

testWithPython(
  `a C core backend that restarts ${FEW_RESTARTS} times is up in every check while it listens`,
  async () => {
    await using backend = await startPythonBackend();
    await checkRestarts(backend, FEW_RESTARTS);
  },
);

testWithBackends(
  `a backend that lets connections grow no older than ${AGE_MS} ms is never down`,
  (start) => checkConnectionAge(start),
);
