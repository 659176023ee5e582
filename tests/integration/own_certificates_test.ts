// The agent's own certificates that are over, have not begun, or end soon.

import assert from "node:assert/strict";
import { runAgent } from "../lab/agent/run_agent.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { CertificateAuthority, type IssueOptions } from "../lab/backends/tls/certificates.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { ROOT } from "../lab/testing/repository.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

const DAY_S = 24 * 60 * 60;

/** By the profile: its certificate, and what is said of it. */
const PROFILES: readonly [string, IssueOptions, RegExp | undefined][] = [
  ["good", { toDays: 15 }, undefined],
  ["soon", { toDays: 10 }, /^tls\.soon\.cert_file: the certificate CN=soon expires in 9 days, at /],
  ["over", { toDays: -1 }, /^tls\.over\.cert_file: the certificate CN=over expired at /],
  [
    "early",
    { fromDays: 1 },
    /^tls\.early\.cert_file: the certificate CN=early is not valid before /,
  ],
];

function expiryOf(profile: string): string {
  return `haproxy_grpc_agent_certificate_expiry_timestamp_seconds{profile="${profile}"}`;
}

Deno.test("the agent's certificates are warned of in the log, once a day, on the page and in a metric", async () => {
  await using authority = await CertificateAuthority.create();
  await using directory = await TempDirectory.create();
  const sections = PROFILES.map(async ([name, options]) => {
    const { cert, key } = await authority.issue(name, { use: "client", ...options });
    return `[tls.${name}]\nca_file = "${authority.caFile}"\ncert_file = "${cert}"\nkey_file = "${key}"\n`;
  });
  const config = await directory.write("agent.toml", (await Promise.all(sections)).join(""));
  const flags = ["--config", config, "--tls-ca-file", authority.caFile];
  const expected = PROFILES.flatMap(([, , warning]) => warning ?? []);
  const matchAll = (lines: readonly string[], what: string) => {
    assert.equal(lines.length, expected.length, `${what}: ${lines.join("\n")}`);
    for (const [index, pattern] of expected.entries()) assert.match(lines[index] ?? "", pattern);
  };
  const { code, stderr } = await runAgent([...flags, "--server-bind", "::1", "--check-config"]);
  assert.equal(code, 0);
  matchAll(stderr.map((line) => line.replace("haproxy-grpc-agent: ", "")), "--check-config");
  const preload = `${ROOT}tests/lab/agent/preload/short_days.ts`;
  await withAgent({ flags, preload }, async (agent) => {
    const warnings = () => agent.logs.filter(({ level }) => level === "warn").map((e) => e.message);
    matchAll(warnings().slice(0, expected.length), "the start");
    await eventually("the warnings of another day", () => warnings().length >= 2 * expected.length);
    matchAll(warnings().slice(expected.length, 2 * expected.length), "the next day");
    const metrics = await agent.metrics();
    const days = (name: string) =>
      ((metrics.get(expiryOf(name)) ?? NaN) - Date.now() / 1000) / DAY_S;
    assert.deepEqual(PROFILES.map(([name]) => Math.round(days(name))), [15, 10, -1, 20]);
    const page = (await agent.get("/")).body;
    assert.match(page, /CN=soon expires in 9 days/);
    assert.match(page, /CN=over expired at/);
    assert.doesNotMatch(page, /CN=good/);
    const { certificates } = JSON.parse((await agent.get("/api/status")).body);
    matchAll(
      certificates.flatMap(({ warning }: { warning: string | null }) => warning ?? []),
      "/api/status",
    );
    await directory.write("agent.toml", await sections[0] ?? "");
    agent.signal("SIGHUP");
    await agent.waitForLog(
      "of the reload",
      ({ message }) => message === "Configuration read again",
    );
    assert.ok(!(await agent.metrics()).has(expiryOf("over")));
    assert.ok((await agent.metrics()).has(expiryOf("good")));
  });
});
