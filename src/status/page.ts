import { createHash } from "node:crypto";
import { stringify } from "smol-toml";
import { RECENT_CHECKS, type TimedCheck } from "./history.ts";
import { Html, markup } from "./markup.ts";
import type { BackendStatus, Status } from "./status.ts";
import { STATUS_STYLE } from "./style.ts";

const STYLE_HASH = createHash("sha256").update(STATUS_STYLE).digest("base64");

/** What a browser lets the page do: show itself, its own style and its icon. */
export const STATUS_PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${STYLE_HASH}'`,
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** How often the page reloads itself where that is wanted, in seconds. */
export const REFRESH_S = 5;

/**
 * Writes the status page: one document that needs nothing else, no script either.
 *
 * @param refreshes whether the page reloads itself; it links to the other variant
 */
export function statusPage(status: Status, refreshes: boolean): string {
  const { now, backends, backends_left_out: leftOut } = status;
  const { headline, mood } = headlineOf(status);
  const refresh = refreshes
    ? markup`<a href="/">Stop refreshing</a>`
    : markup`<a href="/?refresh">Refresh every ${REFRESH_S} s</a>`;
  return markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${headline} – haproxy-grpc-agent</title>
<link rel="icon" href="${icon(mood)}">
<style>${new Html(STATUS_STYLE)}</style>
</head>
<body>
<header>
<h1 class="${mood}">${headline}</h1>
<nav>
${refresh}
<a href="/api/status">JSON</a>
<a href="/metrics">Metrics</a>
<span>haproxy-grpc-agent ${status.version}, started ${describeAge(status.started, now)} ago</span>
</nav>
</header>
${totals(status)}
${certificateWarnings(status)}
<main>
${backends.length === 0 ? nobodyAsked() : table(status)}
${leftOut === 0 ? markup`` : markup`<p class="left-out">${leftOut} more are not shown.</p>`}
</main>
<details>
<summary>Configuration in force</summary>
<pre>${linesOf(stringify(status.configuration))}</pre>
</details>
<p class="dim">As of <time datetime="${now}">${now.slice(0, 19).replace("T", " ")} UTC</time>.
What each error type means and what to do: docs/operations.md.</p>
</body>
</html>
`.text;
}

type Mood = "down" | "warn" | "up";

function headlineOf(
  { ready, totals: { backends, wavering, unasked, unanswered, hung_up: hungUp } }: Status,
): {
  readonly headline: string;
  readonly mood: Mood;
} {
  const { up, down, drain, maint } = backends;
  const all = up + down + drain + maint + unanswered;
  const parts = [
    ...(down > 0 ? [`${down} down`] : []),
    ...(unasked > 0 ? [`${unasked} could not be asked`] : []),
    ...(hungUp > 0 ? [`${hungUp} not heard of in time`] : []),
    ...(drain > 0 ? [`${drain} draining`] : []),
    ...(maint > 0 ? [`${maint} in maintenance`] : []),
    ...(wavering > 0 ? [`${wavering} failing`] : []),
  ];
  if (!ready) return { headline: "Stopping", mood: "warn" };
  if (all === 0) return { headline: "No backend asked about lately", mood: "warn" };
  if (parts.length === 0) return { headline: all === 1 ? "1 up" : `All ${all} up`, mood: "up" };
  return { headline: `${parts.join(", ")} of ${all}`, mood: down > 0 ? "down" : "warn" };
}

function totals({ totals: { answers, errors, ...gauges } }: Status): Html {
  const failed = Object.entries(errors).filter(([, count]) => count > 0);
  const tile = (value: number, what: string) => markup`<li><b>${value}</b> ${what}</li>`;
  const errorCounts = failed.map(([type, count], index) =>
    markup`${index > 0 ? ", " : ""}<b>${count} ${type}</b>`
  );
  const draining = gauges.backends.drain + gauges.backends.maint;
  const answered = Object.values(answers).reduce((sum, count) => sum + count, 0);
  return markup`<ul class="totals">
${tile(gauges.backends.up, "up")}
${tile(gauges.backends.down, "down")}
${draining > 0 ? tile(draining, "draining, in maintenance") : markup``}
${tile(answered, "lines answered")}
${tile(gauges.checks_in_flight, "checks in flight")}
${tile(gauges.connections, "clients connected")}
${tile(gauges.channels, "channels open")}
</ul>
<p class="errors">Answers without a verdict since the start: ${
    failed.length === 0 ? "none" : errorCounts
  }</p>`;
}

function certificateWarnings({ certificates }: Status): readonly Html[] {
  const warnings = certificates.flatMap(({ warning }) => warning ?? []);
  return warnings.map((warning) => markup`<p class="errors"><b>${warning}</b></p>`);
}

function table({ backends, now }: Status): Html {
  return markup`<table>
<thead><tr><th>State</th><th>Backend</th><th>Why</th><th>Last checks</th><th>Counted</th></tr></thead>
<tbody>
${backends.map((backend) => backendRow(backend, now))}
</tbody>
</table>`;
}

function nobodyAsked(): Html {
  return markup`<p class="empty">Nobody has asked about a backend in the last 10 minutes. HAProxy asks when its
server line has <code>agent-check</code>, <code>agent-addr</code> and <code>agent-port</code> for this agent, and
<code>agent-send "HOST PORT no-ssl AUTHORITY\\n"</code> for the backend.</p>`;
}

/** Escapes a text line by line, so that its line ends stay; other control characters are replaced. */
function linesOf(text: string): readonly Html[] {
  return text.split("\n").map((line) => new Html(`${markup`${line}`.text}\n`));
}

/** A dot in the colour of the page's mood, for the browser's tab. */
function icon(mood: Mood): string {
  const colour = { down: "d92d20", warn: "d98b00", up: "1a9f5b" }[mood];
  return `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E` +
    `%3Ccircle cx='8' cy='8' r='7' fill='%23${colour}'/%3E%3C/svg%3E`;
}

const CHANNELS = {
  ready: "channel ready",
  connecting: "channel connecting",
  none: "no channel",
};

/**
 * Writes one backend's row.
 *
 * @param now the page's time, ISO 8601
 */
function backendRow(backend: BackendStatus, now: string): Html {
  const { state, damping, since, last_check: last, checks, failures, changes } = backend;
  const isUnasked = backend.unasked !== null;
  const hungUp = backend.last_hang_up?.last === true;
  const isWavering = isUnasked || hungUp || state === "up" && !last.good;
  const wavering = isWavering && state !== "down" ? " wavering" : "";
  const pending = damping === "" ? markup`` : markup`<span class="damping">${damping}</span>`;
  const durations = backend.recent.map((check) => ({
    durationMs: check.duration_ms,
    failed: check.failed,
  }));
  const took = isUnasked ? "not made" : milliseconds(last.duration_ms);
  const lastCheck = durations.length === 0
    ? "never answered"
    : `${took}, ${describeAge(last.at, now)} ago`;
  const counts = `${failures} failed, ${plural(changes, "change")}`;
  return markup`<tr class="s-${state}${wavering}">
<td class="state"><b>${state}</b><span title="since ${since}">for ${
    describeAge(since, now)
  }</span>${pending}</td>
<td class="who"><b class="mono">${backend.backend}</b>${who(backend)}</td>
<td class="why">${unasked(backend, now)}${why(backend, now)}${hangUps(backend, now)}${
    patience(backend)
  }</td>
<td class="checks">${sparkline(durations, RECENT_CHECKS)}<span>${lastCheck}</span></td>
<td class="counts">${plural(checks, "check")}<span>${counts}</span><span>${
    CHANNELS[backend.channel]
  }</span></td>
</tr>
`;
}

/** What is asked, of whom, and who asks. */
function who(backend: BackendStatus): Html {
  const { service, authority, ssl, tls_profile: profile, last_check: last } = backend;
  const flag = ssl ? (profile === "" ? "ssl" : `ssl, tls=${profile}`) : "no-ssl";
  const asked = service === "" ? markup`` : markup`<span>service ${service}</span>`;
  return markup`${asked}<span>${authority}, <i>${flag}</i></span><span>asked by ${
    withoutPort(last.client)
  }</span>`;
}

/** What the agent lacks, while it cannot ask. */
function unasked({ unasked: lack }: BackendStatus, now: string): Html {
  if (lack === null) return markup``;
  const { since, error_type: type, advice, error } = lack;
  return markup`<p><code class="type">${type}</code> ${advice} (for <time datetime="${since}" title="${since}">${
    describeAge(since, now)
  }</time>)</p><p class="said mono">${error}</p>`;
}

/** The last failure: in full while the trouble lasts, and afterwards in one line. */
function why({ state, last_check: last, last_failure: failure }: BackendStatus, now: string): Html {
  if (failure === null) return markup``;
  const type = markup`<code class="type">${failure.error_type}</code>`;
  if (last.good && state === "up") {
    const at = markup`<time datetime="${failure.at}" title="${failure.at}">${
      describeAge(failure.at, now)
    } ago</time>`;
    return markup`<p class="dim">Last failure ${at}: ${type} ${failure.error}</p>`;
  }
  return markup`<p>${type} ${failure.advice}</p><p class="said mono">${failure.error}</p>`;
}

/** The last hang-up: in full if the last check ended so, and afterwards in one line. */
function hangUps({ hang_ups: count, last_hang_up: last }: BackendStatus, now: string): Html {
  if (last === null) return markup``;
  const at = markup`<time datetime="${last.at}" title="${last.at}">${
    describeAge(last.at, now)
  } ago</time>`;
  const checks = plural(count, "check");
  return last.last
    ? markup`<p><code class="type">hung up</code> ${last.advice} (${checks}, last ${at} by ${
      withoutPort(last.client)
    })</p>`
    : markup`<p class="dim">HAProxy hung up before the answer of ${checks}, last ${at} after ${
      milliseconds(last.after_ms)
    }</p>`;
}

function patience({ learnt_patience: clients }: BackendStatus): Html {
  return markup`${
    clients.map(({ client, after_ms: after, answered_within_ms: within }) =>
      markup`<p>${client} keeps hanging up after ${milliseconds(after)}: it is answered within ${
        milliseconds(within)
      }</p>`
    )
  }`;
}

function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

function withoutPort(client: string): string {
  return client.replace(/:\d+$/, "");
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** The height of the sparkline, and the distance of its bars. */
const HEIGHT = 20;
const STEP = 4;

/** The full height stands for this long at least, in milliseconds, so that quick checks look quick. */
const LEAST_FULL_MS = 20;

/** The least height of a bar: a failed check must be seen, however quickly it failed. */
const LEAST_HEIGHT = { good: 1, failed: 4 };

/**
 * Draws the durations of checks as bars, the last on the right; a failed check has a bar of its own
 * class, `f`. Heights go with the square root, so that one slow check does not flatten all others.
 *
 * @param places how many checks there is room for; where there are fewer, the room is on the left
 */
export function sparkline(checks: readonly TimedCheck[], places: number): Html {
  const fullMs = Math.max(LEAST_FULL_MS, ...checks.map(({ durationMs }) => durationMs));
  const paths = { good: "", failed: "" };
  for (const [index, { durationMs, failed }] of checks.entries()) {
    const x = (places - checks.length + index) * STEP + STEP / 2;
    const kind = failed ? "failed" : "good";
    const height = Math.max(
      LEAST_HEIGHT[kind],
      Math.round(Math.sqrt(durationMs / fullMs) * HEIGHT),
    );
    paths[kind] += `M${x} ${HEIGHT}v-${height}`;
  }
  const width = places * STEP;
  return markup`<svg viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label="${summary(checks)}">${
    pathOf(paths.good, "g")
  }${pathOf(paths.failed, "f")}</svg>`;
}

function pathOf(path: string, name: string): Html {
  return path === "" ? markup`` : markup`<path class="${name}" d="${path}"/>`;
}

function summary(checks: readonly TimedCheck[]): string {
  const longest = Math.round(Math.max(0, ...checks.map(({ durationMs }) => durationMs)));
  const failed = checks.filter((check) => check.failed).length;
  return `Last ${checks.length} checks: longest ${longest} ms, ${failed} failed`;
}

/** Units with their length in seconds, and from how many of them on the next unit is used. */
const UNITS = [
  ["s", 1, 120],
  ["min", 60, 120],
  ["h", 3600, 48],
  ["days", 86_400, Infinity],
] as const;

/**
 * @param from ISO 8601
 * @param to ISO 8601, not before `from` (else it counts as the same time)
 * @returns the time between, as one would say it: `90 s`, `17 min`, `3 h`, `12 days`
 */
export function describeAge(from: string, to: string): string {
  const seconds = Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);
  const [unit, length] = UNITS.find(([, length, limit]) => seconds / length < limit) ?? UNITS[3];
  return `${Math.floor(seconds / length)} ${unit}`;
}
