import assert from "node:assert/strict";
import { type BackendRules, parseBackendRules } from "../../../src/access/rules.ts";
import { DnsCache, Resolver } from "../../../src/backend/resolve.ts";
import { Checker, type CheckerOptions, type PendingCheck } from "../../../src/check/checker.ts";
import type {
  CheckProgress,
  HealthCheck,
  HealthClient,
  RunningCheck,
} from "../../../src/check/health_client.ts";
import { Deadlines } from "../../../src/deadline.ts";
import { parseRequest } from "../../../src/protocol/request.ts";
import type { Verdict } from "../../../src/protocol/verdict.ts";
import type { TlsProfile } from "../../../src/tls/profile.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { controlledNames } from "../../lab/unit/controlled_names.ts";
import { nextTurn } from "../../lab/unit/next_turn.ts";

const SERVING: Verdict = { kind: "serving" };

/** A run that the checker has begun. */
class Run implements RunningCheck {
  answer: Verdict | undefined;
  readonly verdict: Promise<Verdict>;
  cancelled = false;
  readonly #end: PromiseWithResolvers<Verdict> = Promise.withResolvers();

  constructor(readonly check: HealthCheck) {
    this.verdict = this.#end.promise;
  }

  end(verdict: Verdict = SERVING): void {
    this.#end.resolve(verdict);
  }

  progress(): CheckProgress {
    const waitsFor = "The RPC did not end in time";
    return { answer: this.answer, lack: undefined, waitsFor };
  }

  joined(): void {}

  cancel(): void {
    this.cancelled = true;
  }
}

/** A checker whose client and names the test plays. */
class Lab implements Disposable {
  readonly runs: Run[] = [];
  coalesced = 0;
  readonly deadlines = new Deadlines(nextTurn);
  readonly names = controlledNames();
  readonly checker: Checker;
  /** What the client says of each destination. */
  state: "ready" | "connecting" | undefined;

  constructor(options: Partial<CheckerOptions> = {}, rules: readonly string[] = []) {
    const client: HealthClient = {
      check: (check) => {
        const run = new Run(check);
        this.runs.push(run);
        return run;
      },
      stateOf: () => this.state,
    };
    const profile: TlsProfile = {
      name: "",
      settings: {},
      chain: [],
      lacksCas: undefined,
      context: () => assert.fail("No TLS is spoken here"),
      fingerprint: "",
    };
    const named = { ...profile, name: "own", settings: { serverName: "tls.internal" } };
    this.checker = new Checker(
      { checkTimeoutMs: 5000, coalesce: true, verdictMaxAgeMs: 0, ...options },
      client,
      new Resolver(rulesOf(rules), new DnsCache(this.names.names), 60_000),
      new Map([["", profile], ["own", named]]),
      this.deadlines,
      { onCoalesced: () => this.coalesced++ },
    );
  }

  check(line: string, patienceMs?: number): PendingCheck {
    const parsed = parseRequest(line);
    assert.ok(parsed.ok, line);
    return this.checker.check(parsed.request, patienceMs);
  }

  async verdict(pending: PendingCheck): Promise<Verdict> {
    return (await pending.observation).verdict;
  }

  [Symbol.dispose](): void {
    this.deadlines.close();
  }
}

function rulesOf(texts: readonly string[]): BackendRules {
  const parsed = parseBackendRules(texts);
  assert.ok(parsed.ok);
  return parsed.rules;
}

Deno.test("Checker: at the deadline what the backend has said counts, though it is being asked once more", async () => {
  using lab = new Lab();
  const check = lab.check("127.0.0.1 1 no-ssl a timeout=50");
  const [run] = lab.runs;
  assert.ok(run !== undefined);
  run.answer = { kind: "not_serving", status: "NOT_SERVING" };
  assert.deepEqual((await check.observation).verdict, run.answer);
});

Deno.test("Checker asks an address at once, for what the line says", async () => {
  using lab = new Lab();
  const pending = lab.check("10.0.0.1 443 no-ssl api.internal:8443 service=a.B");
  const [run] = lab.runs;
  assert.ok(run);
  const { destinations, authority, service, timeoutMs } = run.check;
  assert.deepEqual(destinations, [
    { host: "10.0.0.1", address: "10.0.0.1", port: 443, tls: undefined },
  ]);
  assert.deepEqual([authority, service, timeoutMs], ["api.internal:8443", "a.B", 5000]);
  run.end();
  assert.deepEqual(await lab.verdict(pending), SERVING);
});

Deno.test("Checker asks all addresses of a name, in their order", async () => {
  using lab = new Lab();
  const pending = lab.check("api 1 no-ssl x");
  assert.equal(lab.runs.length, 0);
  lab.names.begun[0]?.end({ ok: true, addresses: ["10.0.0.2", "10.0.0.1"] });
  await eventually("the run", () => lab.runs.length === 1);
  assert.deepEqual(lab.runs[0]?.check.destinations.map(({ address }) => address), [
    "10.0.0.2",
    "10.0.0.1",
  ]);
  lab.runs[0]?.end();
  assert.deepEqual((await pending.observation).verdict, SERVING);
});

const SERVER_NAMES: readonly [string, string][] = [
  ["10.0.0.1 443 ssl api.internal:8443", "api.internal"],
  ["10.0.0.1 443 ssl web.1", "web.1"],
  ["10.0.0.1 443 ssl [::1]:443", "::1"],
  ["10.0.0.1 443 ssl api.internal tls=own", "tls.internal"],
];

for (const [line, serverName] of SERVER_NAMES) {
  Deno.test(`Checker has the server name ${serverName} for ${line}`, () => {
    using lab = new Lab();
    lab.check(line);
    assert.equal(lab.runs[0]?.check.destinations[0]?.tls?.serverName, serverName);
  });
}

Deno.test("Checker denies what is not allowed, and asks nobody", async () => {
  using lab = new Lab({}, ["10.0.0.0/8"]);
  assert.deepEqual(await lab.verdict(lab.check("192.0.2.1 1 no-ssl x")), { kind: "denied" });
  assert.equal(lab.runs.length, 0);
});

Deno.test("Checker says why a name does not resolve, without a run", async () => {
  using lab = new Lab();
  const pending = lab.check("api 1 no-ssl x");
  lab.names.begun[0]?.end({ ok: false, detail: "no such name", fault: "name" });
  const { verdict, run } = await pending.observation;
  assert.deepEqual(verdict, { kind: "dns", detail: "no such name" });
  assert.equal(run, 0);
});

for (
  const [what, line, patienceMs, limitMs] of [
    ["check_timeout_ms", "10.0.0.1 1 no-ssl x", undefined, 60],
    ["the line's timeout", "10.0.0.1 1 no-ssl x timeout=40", undefined, 40],
    ["the client's patience", "10.0.0.1 1 no-ssl x timeout=40", 20, 20],
  ] as const
) {
  Deno.test(`Checker gives up at ${what}, says so, and cancels the run`, async () => {
    using lab = new Lab({ checkTimeoutMs: 60 });
    const begun = performance.now();
    const { verdict, run } = await lab.check(line, patienceMs).observation;
    assert.ok(performance.now() - begun >= limitMs);
    assert.ok(verdict.kind === "timeout");
    assert.match(verdict.detail, new RegExp(`^The RPC did not end in time\\b.*\\b${limitMs} ms`));
    assert.notEqual(run, 0);
    assert.ok(lab.runs[0]?.cancelled);
    assert.equal(lab.runs[0]?.check.timeoutMs, 60, "the run may take the whole time");
  });
}

Deno.test("Checker also gives up on a name at the deadline, and begins no run afterwards", async () => {
  using lab = new Lab({ checkTimeoutMs: 30 });
  const verdict = await lab.verdict(lab.check("api 1 no-ssl x"));
  assert.ok(verdict.kind === "timeout");
  assert.match(verdict.detail, /^The name was not resolved in time\b.*\b30 ms/);
  lab.names.begun[0]?.end({ ok: true, addresses: ["10.0.0.1"] });
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(lab.runs.length, 0);
});

Deno.test("Checker blames the agent when a name waits for its turn to be looked up", async () => {
  using lab = new Lab({ checkTimeoutMs: 40 });
  const looked = Array.from({ length: 17 }, (_, nth) => lab.check(`api-${nth} 1 no-ssl x`));
  const kinds = (await Promise.all(looked.map((check) => lab.verdict(check)))).map((v) => v.kind);
  assert.deepEqual(kinds.slice(0, 16), Array(16).fill("timeout"));
  assert.equal(kinds[16], "local");
});

Deno.test("Checker blames the agent when the wait for a name's turn has left the backend too little time", async () => {
  using lab = new Lab({ checkTimeoutMs: 100 });
  const looked = Array.from({ length: 17 }, (_, nth) => lab.check(`api-${nth} 1 no-ssl x`));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const { begun } = lab.names;
  for (const { end } of begun) end({ ok: true, addresses: ["10.0.0.1"] });
  await new Promise((resolve) => setTimeout(resolve));
  begun[16]?.end({ ok: true, addresses: ["10.0.0.2"] });
  const kinds = (await Promise.all(looked.map((check) => lab.verdict(check)))).map((v) => v.kind);
  assert.deepEqual([lab.runs.length, kinds[0], kinds[16]], [17, "timeout", "local"]);
});

Deno.test("Checker shares a run between equal checks, and gives each the same observation", async () => {
  using lab = new Lab();
  const pending = Array.from({ length: 5 }, () => lab.check("10.0.0.1 1 no-ssl x"));
  assert.deepEqual([lab.runs.length, lab.coalesced], [1, 4]);
  lab.runs[0]?.end();
  const runs = new Set(
    (await Promise.all(pending.map((one) => one.observation))).map((o) => o.run),
  );
  assert.equal(runs.size, 1);
});

const DIFFERENT: readonly string[] = [
  "10.0.0.2 1 no-ssl x",
  "10.0.0.1 2 no-ssl x",
  "10.0.0.1 1 ssl x",
  "10.0.0.1 1 ssl x tls=own",
  "10.0.0.1 1 no-ssl y",
  "10.0.0.1 1 no-ssl x service=s",
];

Deno.test("Checker shares no run between checks that ask differently", () => {
  using lab = new Lab();
  lab.check("10.0.0.1 1 no-ssl x");
  for (const line of DIFFERENT) lab.check(line);
  assert.deepEqual([lab.runs.length, lab.coalesced], [1 + DIFFERENT.length, 0]);
  for (const options of ["fall=3", "rise=2", "timeout=3000"]) {
    lab.check(`10.0.0.1 1 no-ssl x ${options}`);
  }
  assert.equal(lab.coalesced, 3, "options that do not change the question share it");
});

Deno.test("Checker shares nothing where checks are not coalesced", () => {
  using lab = new Lab({ coalesce: false });
  lab.check("10.0.0.1 1 no-ssl x");
  lab.check("10.0.0.1 1 no-ssl x");
  assert.deepEqual([lab.runs.length, lab.coalesced], [2, 0]);
});

Deno.test("Checker leaves a shared run to the others when one with a shorter deadline gives up", async () => {
  using lab = new Lab();
  const patient = lab.check("10.0.0.1 1 no-ssl x");
  const hasty = lab.check("10.0.0.1 1 no-ssl x timeout=30");
  assert.equal((await lab.verdict(hasty)).kind, "timeout");
  const [run] = lab.runs;
  assert.equal(run?.cancelled, false);
  // Whoever asks after a timeout is not to wait for the same run again.
  lab.check("10.0.0.1 1 no-ssl x");
  assert.equal(lab.runs.length, 2);
  run?.end();
  assert.deepEqual(await lab.verdict(patient), SERVING);
});

Deno.test("Checker: a check that is abandoned cancels its run when nobody else waits for it", () => {
  using lab = new Lab();
  const [one, other] = [lab.check("10.0.0.1 1 no-ssl x"), lab.check("10.0.0.1 1 no-ssl x")];
  one.abandon();
  one.abandon();
  assert.equal(lab.runs[0]?.cancelled, false);
  other.abandon();
  assert.equal(lab.runs[0]?.cancelled, true);
  lab.check("10.0.0.1 1 no-ssl x");
  assert.equal(lab.runs.length, 2);
});

Deno.test("Checker begins no run for a check that was abandoned while its name was looked up", async () => {
  using lab = new Lab();
  lab.check("api 1 no-ssl x").abandon();
  lab.names.begun[0]?.end({ ok: true, addresses: ["10.0.0.1"] });
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(lab.runs.length, 0);
});

Deno.test("Checker answers again with a verdict that is young enough, without another run", async () => {
  using lab = new Lab({ verdictMaxAgeMs: 60_000 });
  const first = lab.check("10.0.0.1 1 no-ssl x");
  lab.runs[0]?.end();
  const observation = await first.observation;
  const again = await lab.check("10.0.0.1 1 no-ssl x").observation;
  assert.equal(again.run, observation.run);
  assert.deepEqual([lab.runs.length, lab.coalesced], [1, 1]);
});

Deno.test("Checker tells how far the connections of a question are, and of none that is denied", () => {
  using lab = new Lab({}, ["10.0.0.0/8"]);
  const stateOf = (line: string) => {
    const parsed = parseRequest(line);
    assert.ok(parsed.ok);
    return lab.checker.connectionState(parsed.request);
  };
  assert.equal(stateOf("10.0.0.1 1 no-ssl x"), undefined);
  lab.state = "connecting";
  assert.equal(stateOf("10.0.0.1 1 ssl x"), "connecting");
  lab.state = "ready";
  assert.equal(stateOf("10.0.0.1 1 no-ssl x"), "ready");
  assert.equal(stateOf("192.0.2.1 1 no-ssl x"), undefined);
});

Deno.test("Checker knows the TLS profiles", () => {
  using lab = new Lab();
  const has = (line: string) => {
    const parsed = parseRequest(line);
    assert.ok(parsed.ok);
    return lab.checker.hasTlsProfile(parsed.request);
  };
  assert.deepEqual(["", " tls=own", " tls=other"].map((tls) => has(`a 1 ssl x${tls}`)), [
    true,
    true,
    false,
  ]);
});

Deno.test("Checker survives a client that throws", async () => {
  using lab = new Lab();
  const bug = new TypeError("a bug");
  const client: HealthClient = {
    check: () => {
      throw bug;
    },
    stateOf: () => undefined,
  };
  const checker = new Checker(
    { checkTimeoutMs: 5000, coalesce: true, verdictMaxAgeMs: 0 },
    client,
    new Resolver(rulesOf([]), new DnsCache(lab.names.names), 60_000),
    new Map(),
    lab.deadlines,
    { onCoalesced() {} },
  );
  const parsed = parseRequest("api 1 no-ssl x");
  assert.ok(parsed.ok);
  const pending = checker.check(parsed.request);
  lab.names.begun[0]?.end({ ok: true, addresses: ["10.0.0.1"] });
  assert.deepEqual(await lab.verdict(pending), { kind: "internal", error: bug });
});
