import assert from "node:assert/strict";
import { Metrics } from "../../../src/metrics/metrics.ts";
import type { AgentState } from "../../../src/protocol/reply.ts";
import type { BackendQuestion } from "../../../src/protocol/request.ts";
import {
  type AgentFailure,
  type BackendVerdict,
  isAgentFailure,
} from "../../../src/protocol/verdict.ts";
import type { LearntPatience } from "../../../src/server/patience.ts";
import { BackendHistory, type TimedCheck } from "../../../src/status/history.ts";
import { describeAge, sparkline, statusPage } from "../../../src/status/page.ts";
import { collectStatus, type Status } from "../../../src/status/status.ts";

const NOW = Date.UTC(2026, 0, 1);
const LACK = { kind: "local", detail: "EMFILE: <no descriptor>" } as const;
const SERVING: BackendVerdict = { kind: "serving" };
const REFUSED: BackendVerdict = { kind: "unreachable", detail: "connect ECONNREFUSED" };
const NOT_SERVING: BackendVerdict = { kind: "not_serving", status: "NOT_SERVING" };

/** A check of the server `host`: when, what came of it, what was told. */
type Check =
  | readonly [host: string, at: number, BackendVerdict, AgentState, note?: string]
  | readonly [host: string, at: number, AgentFailure | "hung up"];

/** @param patience what was learnt at each backend */
function statusOf(
  checks: readonly Check[],
  setBackMs?: number,
  patience?: Omit<LearntPatience, "question">,
): Status {
  let now = 0;
  const history = new BackendHistory(() => now);
  const questions: BackendQuestion[] = [];
  for (const [host, at, verdict, state = "up", note = ""] of checks) {
    now = NOW + at;
    const peer = "10.0.0.1:9";
    const name = "api";
    const asked = { tls: false, tlsProfile: "", authority: name, serverName: name, service: "" };
    const question = { key: host, host, port: 1, ...asked };
    questions.push(question);
    if (verdict === "hung up") history.addHangUp(question, peer, 400);
    else if (isAgentFailure(verdict)) history.addUnasked(question, verdict, peer);
    else history.add(question, { verdict, state, note, durationMs: 1 }, peer);
  }
  return collectStatus({
    history,
    metrics: new Metrics(),
    channelFor: () => "ready",
    learntPatience: () =>
      patience === undefined ? [] : questions.map((question) => ({ question, ...patience })),
    configuration: () => ({ server_port: 5555, note: "</pre><script>" }),
    certificates: () => [],
    ready: () => true,
    now: () => now - (setBackMs ?? 0),
    uptime: () => now,
  });
}

const ORDERS: readonly [string, readonly Check[], string][] = [
  ["down before draining before failing before changed before up", [
    ["up", 0, SERVING, "up"],
    ["changed", 0, REFUSED, "down"],
    ["changed", 1, SERVING, "up"],
    ["failing", 0, SERVING, "up"],
    ["failing", 1, REFUSED, "up", "1 of 3 failures"],
    ["drain", 0, NOT_SERVING, "drain"],
    ["down", 0, REFUSED, "down"],
  ], "down drain failing changed up"],
  ["what could not be asked behind what is down", [
    ["drain", 0, NOT_SERVING, "drain"],
    ["unasked", 0, SERVING, "up"],
    ["unasked", 1, LACK],
    ["down", 0, REFUSED, "down"],
  ], "down unasked drain"],
  ["of those that are down the latest first", [
    ["a", 0, REFUSED, "down"],
    ["b", 1, REFUSED, "down"],
    ["a", 2, REFUSED, "down"],
  ], "b a"],
];

for (const [what, checks, expected] of ORDERS) {
  Deno.test(`collectStatus() puts ${what}`, () => {
    const { backends } = statusOf(checks);
    assert.equal(backends.map(({ backend }) => backend.replace(":1", "")).join(" "), expected);
  });
}

Deno.test("collectStatus() counts all backends, and shows the thousand that are worst", () => {
  const checks = Array.from(
    { length: 1500 },
    (_, index): Check => [`up${index}`, 0, SERVING, "up"],
  );
  const status = statusOf([...checks, ["bad", 0, REFUSED, "down"]]);
  assert.deepEqual(status.totals.backends, { up: 1500, down: 1, drain: 0, maint: 0 });
  assert.equal(status.backends.length, 1000);
  assert.equal(status.backends_left_out, 501);
  assert.equal(status.backends[0]?.backend, "bad:1");
  const page = statusPage(status, false);
  assert.match(page, /501 more are not shown/);
  assert.ok(page.length < 1_500_000, `The page has ${page.length} characters`);
});

Deno.test("collectStatus() tells dates by their age, whatever has become of the clock", () => {
  const checks: Check[] = [["a", 0, REFUSED, "down"], ["a", 5000, REFUSED, "down"]];
  for (const setBackMs of [0, 7_200_000]) {
    const { now, backends: [backend] } = statusOf(checks, setBackMs);
    const ageOf = (date: string | undefined) => Date.parse(now) - Date.parse(date ?? "");
    assert.equal(ageOf(backend?.since), 5000);
    assert.equal(ageOf(backend?.last_check.at), 0);
    assert.equal(ageOf(backend?.last_failure?.at), 0);
  }
});

const HEADLINES: readonly [string, readonly Check[], string, string][] = [
  ["nothing", [], "No backend asked about lately", "warn"],
  ["one good backend", [["a", 0, SERVING, "up"]], "1 up", "up"],
  ["good backends", [["a", 0, SERVING, "up"], ["b", 0, SERVING, "up"]], "All 2 up", "up"],
  [
    "a draining one",
    [["a", 0, NOT_SERVING, "drain"], ["b", 0, SERVING, "up"]],
    "1 draining of 2",
    "warn",
  ],
  [
    "a shaky one",
    [["a", 0, SERVING, "up"], ["a", 1, REFUSED, "up", "1 of 2"]],
    "1 failing of 1",
    "warn",
  ],
  [
    "one that could not be asked",
    [["a", 0, SERVING, "up"], ["a", 1, LACK], ["b", 0, SERVING, "up"]],
    "1 could not be asked of 2",
    "warn",
  ],
  ["one that never could be asked", [["a", 0, LACK]], "1 could not be asked of 1", "warn"],
  ["one that can be asked again", [["a", 0, LACK], ["a", 1, SERVING, "up"]], "1 up", "up"],
  ["a dead one", [["a", 0, REFUSED, "down"], ["b", 0, SERVING, "up"]], "1 down of 2", "down"],
];

for (const [what, checks, headline, mood] of HEADLINES) {
  Deno.test(`statusPage() sums up ${what} as "${headline}"`, () => {
    const page = statusPage(statusOf(checks), false);
    assert.ok(page.includes(`<h1 class="${mood}">${headline}</h1>`), page.slice(0, 6000));
    assert.ok(page.includes(`<title>${headline} – haproxy-grpc-agent</title>`));
  });
}

Deno.test("statusPage() says why a backend is down, and once it is up only what it was", () => {
  const down = statusPage(statusOf([["a", 0, REFUSED, "down"]]), false);
  assert.match(down, /backend_unreachable<\/code> Backend unreachable: is it listening there/);
  assert.match(down, /connect ECONNREFUSED/);
  const up = statusPage(
    statusOf([["a", 0, REFUSED, "down"], ["a", 180_000, SERVING, "up"]]),
    false,
  );
  assert.match(up, /Last failure .*3 min ago.*backend_unreachable.*connect ECONNREFUSED/);
  assert.doesNotMatch(up, /is it listening there/);
});

Deno.test("statusPage() says what the agent lacks, beside what HAProxy was told last", () => {
  const status = statusOf([
    ["a", 0, REFUSED, "down"],
    ["a", 180_000, LACK],
    ["a", 210_000, LACK],
    ["b", 240_000, LACK],
  ]);
  const [a, b] = status.backends;
  const iso = (at: number) => new Date(NOW + at).toISOString();
  assert.deepEqual([a?.state, a?.since, a?.checks, a?.failures], ["down", iso(0), 1, 1]);
  assert.deepEqual(a?.unasked, {
    since: iso(180_000),
    at: iso(210_000),
    error_type: "local",
    error: LACK.detail,
    advice: "The agent could not ask: it or its machine lacks something",
  });
  assert.deepEqual([b?.state, b?.checks, b?.last_failure], ["unanswered", 0, null]);
  assert.deepEqual(status.totals.backends, { up: 0, down: 1, drain: 0, maint: 0 });
  assert.deepEqual([status.totals.unasked, status.totals.unanswered], [2, 1]);
  const page = statusPage(status, false);
  assert.match(page, /<h1 class="down">1 down, 2 could not be asked of 2</);
  assert.match(page, /local<\/code> The agent could not ask: it or its machine lacks something/);
  assert.match(page, /EMFILE: &lt;no descriptor&gt;/);
  assert.match(page, /is it listening there/, "Why HAProxy was told so");
  assert.match(page, /\(for <time [^>]*>60 s<\/time>\)/);
  assert.match(page, /not made, 30 s ago/);
  assert.match(page, /<tr class="s-down">/, "It is as red as any that is down");
  assert.match(page, /<tr class="s-unanswered wavering">/);
  assert.match(page, /never answered/);
});

Deno.test("statusPage() shows a client that hung up before the only answer, and one that has done so", () => {
  const evil = { client: "<b>", ageMs: 1003.4, deadlineMs: 953.2 };
  const unanswered = statusOf([["a", 0, "hung up"], ["b", 0, SERVING, "up"]], 0, evil);
  const [first] = unanswered.backends;
  assert.deepEqual([first?.backend, first?.state, first?.hang_ups], ["a:1", "unanswered", 1]);
  assert.deepEqual(unanswered.totals.backends, { up: 1, down: 0, drain: 0, maint: 0 });
  const page = statusPage(unanswered, false);
  assert.match(page, /<h1 class="warn">1 not heard of in time of 2</);
  assert.match(page, /HAProxy hung up after 400 ms, before the answer; lower check_timeout_ms/);
  assert.match(page, /never answered/);
  assert.match(page, /&lt;b&gt; keeps hanging up after 1003 ms: it is answered within 953 ms/);

  const answered = statusOf([["a", 0, "hung up"], ["a", 60_000, SERVING, "up"]]);
  assert.deepEqual([answered.backends[0]?.state, answered.backends[0]?.changes], ["up", 0]);
  const after = statusPage(answered, false);
  assert.match(after, /<h1 class="up">1 up</);
  assert.match(after, /HAProxy hung up before the answer of 1 check, last .* after 400 ms/);
});

Deno.test("statusPage() renders nothing unescaped that came from the wire or the configuration", () => {
  const evil = `"><script>alert(1)</script><img src=x onerror='alert(2)'>`;
  const status = statusOf([["a", 0, { kind: "rpc", code: "UNKNOWN", detail: evil }, "down"]]);
  const [backend] = status.backends;
  assert.ok(backend);
  const everywhere = {
    ...backend,
    backend: evil,
    service: evil,
    authority: evil,
    tls_profile: evil,
    ssl: true,
    damping: evil,
    unasked: { since: "", at: "", error_type: "local" as const, advice: "", error: evil },
    last_check: { ...backend.last_check, client: evil },
  };
  const page = statusPage({ ...status, backends: [everywhere] }, false);
  assert.equal(page.split("alert(1)").length - 1, 8, "each place shows it, as text");
  assert.doesNotMatch(page, /<script|<img|onerror='/);
  assert.equal(page.split("</pre>").length - 1, 1);
});

Deno.test("statusPage() offers to refresh, or to stop it", () => {
  const status = statusOf([]);
  assert.match(statusPage(status, false), /<a href="\/\?refresh">/);
  assert.match(statusPage(status, true), /<a href="\/">Stop/);
});

const good = (durationMs: number): TimedCheck => ({ durationMs, failed: false });
const failed = (durationMs: number): TimedCheck => ({ durationMs, failed: true });

const ROWS: readonly [string, readonly TimedCheck[], string, string][] = [
  ["nothing", [], "", ""],
  ["one quick check, on the right", [good(0)], "M14 20v-1", ""],
  ["the slowest fills the height", [good(25), good(100)], "M10 20v-10M14 20v-20", ""],
  ["quick checks stay low", [good(5), good(20)], "M10 20v-10M14 20v-20", ""],
  ["a check that failed at once is seen", [good(80), failed(0)], "M10 20v-20", "M14 20v-4"],
  [
    "all places taken",
    [good(0), failed(20), good(0), good(0)],
    "M2 20v-1M10 20v-1M14 20v-1",
    "M6 20v-20",
  ],
];

for (const [what, checks, goodPath, failedPath] of ROWS) {
  Deno.test(`sparkline() draws ${what}`, () => {
    const { text } = sparkline(checks, 4);
    const path = (name: string) =>
      new RegExp(`<path class="${name}" d="([^"]*)"/>`).exec(text)?.[1] ?? "";
    assert.equal(path("g"), goodPath);
    assert.equal(path("f"), failedPath);
  });
}

Deno.test("sparkline() says in words what it shows", () => {
  assert.match(
    sparkline([good(3.4), failed(1000)], 4).text,
    /role="img" aria-label="Last 2 checks: longest 1000 ms, 1 failed"/,
  );
});

const FROM = "2026-01-01T00:00:00.000Z";

for (
  const [seconds, expected] of [
    [-5, "0 s"],
    [0.9, "0 s"],
    [119, "119 s"],
    [120, "2 min"],
    [7199, "119 min"],
    [7200, "2 h"],
    [172_799, "47 h"],
    [172_800, "2 days"],
    [864_000, "10 days"],
  ] as const
) {
  Deno.test(`describeAge() calls ${seconds} seconds ${expected}`, () => {
    const to = new Date(Date.parse(FROM) + seconds * 1000).toISOString();
    assert.equal(describeAge(FROM, to), expected);
  });
}
