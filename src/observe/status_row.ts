import { describeAge } from "./describe_age.ts";
import { type Html, markup } from "./markup.ts";
import { RECENT_CHECKS } from "./recent_durations.ts";
import { sparkline } from "./sparkline.ts";
import type { BackendStatus } from "./status.ts";

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
export function backendRow(backend: BackendStatus, now: string): Html {
  const { state, damping, since, last_check: last, checks, failures, changes } = backend;
  const hungUp = backend.last_hang_up?.last === true;
  const wavering = hungUp || state === "up" && !last.good ? " wavering" : "";
  const pending = damping === "" ? markup`` : markup`<span class="damping">${damping}</span>`;
  const durations = backend.recent.map((check) => ({
    durationMs: check.duration_ms,
    failed: check.failed,
  }));
  const lastCheck = durations.length === 0
    ? "never answered"
    : `${milliseconds(last.duration_ms)}, ${describeAge(last.at, now)} ago`;
  const counts = `${failures} failed, ${plural(changes, "change")}`;
  return markup`<tr class="s-${state}${wavering}">
<td class="state"><b>${state}</b><span title="since ${since}">for ${
    describeAge(since, now)
  }</span>${pending}</td>
<td class="who"><b class="mono">${backend.backend}</b>${who(backend)}</td>
<td class="why">${why(backend, now)}${hangUps(backend, now)}${patience(backend)}</td>
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

/** In full while there is trouble; afterwards a line that tells what it was. */
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

/** In full while the last check has ended so; afterwards a line that tells of it. */
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
