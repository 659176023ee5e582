import { createHash } from "node:crypto";
import { stringify } from "smol-toml";
import { describeAge } from "./describe_age.ts";
import { Html, markup } from "./markup.ts";
import { backendRow } from "./status_row.ts";
import { STATUS_STYLE } from "./status_style.ts";
import type { Status } from "./status.ts";

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
    : markup`<a href="/?refresh">Refresh every 5 s</a>`;
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
  { ready, totals: { backends, wavering, unanswered, hung_up: hungUp } }: Status,
): {
  readonly headline: string;
  readonly mood: Mood;
} {
  const { up, down, drain, maint } = backends;
  const all = up + down + drain + maint + unanswered;
  const parts = [
    ...(down > 0 ? [`${down} down`] : []),
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

/** Escaped line by line: a line end is the one control character that is meant here. */
function linesOf(text: string): readonly Html[] {
  return text.split("\n").map((line) => new Html(`${markup`${line}`.text}\n`));
}

/** A dot in the colour of the page's mood, for the browser's tab. */
function icon(mood: Mood): string {
  const colour = { down: "d92d20", warn: "d98b00", up: "1a9f5b" }[mood];
  return `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E` +
    `%3Ccircle cx='8' cy='8' r='7' fill='%23${colour}'/%3E%3C/svg%3E`;
}
