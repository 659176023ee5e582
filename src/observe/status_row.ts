import { describeAge } from "./describe_age.ts";
import { type Html, html } from "./html.ts";
import { RECENT_CHECKS } from "./recent_durations.ts";
import { sparkline } from "./sparkline.ts";
import type { BackendStatus } from "./status.ts";

const CHANNELS = {
  ready: "connected",
  connecting: "connecting",
  closed: "not connected",
  none: "not connected",
};

/**
 * Writes one backend's row.
 *
 * @param now the page's time, ISO 8601
 */
export function backendRow(backend: BackendStatus, now: string): Html {
  const { state, damping, since, last_check: last, checks, failures, changes } = backend;
  const wavering = state === "up" && !last.good ? " wavering" : "";
  return html`
    <tr class="s-${state}${wavering}">
      <td class="state"><b>${state}</b>${forHowLong(since, now)}${damping === ""
        ? html``
        : html`<span class="damping">${damping}</span>`}</td>
      <td class="who"><b class="mono">${backend.backend}</b>${who(backend)}</td>
      <td class="why">${why(backend, now)}</td>
      <td class="checks">${sparkline(
        backend.recent.map((check) => ({ durationMs: check.duration_ms, failed: check.failed })),
        RECENT_CHECKS,
      )}<span>${milliseconds(last.duration_ms)}, ${describeAge(last.at, now)} ago</span></td>
      <td
        class="counts">${plural(checks, "check")}<span>${failures} failed, ${plural(
          changes,
          "change",
        )}</span><span>${CHANNELS[backend.channel]}</span></td>
    </tr>
  `;
}

function forHowLong(since: string, now: string): Html {
  return html`<span title="since ${since}">for ${describeAge(since, now)}</span>`;
}

function who({ service, authority, ssl, tls_profile: profile, last_check: last }: BackendStatus) {
  const flag = ssl ? (profile === "" ? "ssl" : `ssl, tls=${profile}`) : "no-ssl";
  return html`${
    service === "" ? html`` : html`<span>service ${service}</span>`
  }<span>${authority}, ${flag}</span><span>asked by ${last.client}</span>`;
}

/** In full while there is trouble; afterwards a line that tells what it was. */
function why({ state, last_check: last, last_failure: failure }: BackendStatus, now: string): Html {
  if (failure === null) return html``;
  const type = html`<code class="type">${failure.error_type}</code>`;
  const at = html`<time datetime="${failure.at}" title="${failure.at}">${
    describeAge(failure.at, now)
  } ago</time>`;
  if (last.good && state === "up") {
    return html`<p class="dim">Last failure ${at}: ${type} ${failure.error}</p>`;
  }
  return html`
    <p>${type} ${failure.advice}</p>
    <p class="said mono">${failure.error}</p>
  `;
}

function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
