import assert from "node:assert/strict";
import { ADVICE } from "../../src/observe/advice.ts";
import { CertificateAuthority } from "../lab/certificates.ts";
import { startHealthBackend } from "../lab/health_backend.ts";
import { ROOT } from "../lab/lab_process.ts";
import { PROMTOOL, promtool } from "../lab/promtool.ts";
import { testThatNeeds } from "../lab/test_that_needs.ts";
import { withAgent } from "../lab/with_agent.ts";

const FOLDER = `${ROOT}deploy/monitoring/`;

/** A metric where Prometheus' language has one, with its selector. */
const METRIC = /\b((?:haproxy|check|grpc|process)_[a-z_]+)(?:\{([^}]*)\})?/g;

/** A label in a selector, but for those that Prometheus and Grafana bring along. */
const LABEL = /\b(?!instance\b|job\b)([a-z_]+)=~?"([^"]*)"/g;

interface Panel {
  id: number;
  title: string;
  targets: { expr: string }[];
  gridPos: { x: number; y: number; w: number; h: number };
}

async function dashboard(): Promise<{ panels: Panel[] }> {
  return JSON.parse(await Deno.readTextFile(`${FOLDER}grafana-dashboard.json`));
}

/** The agent's own scrape. */
async function scrape(): Promise<string[]> {
  let samples: string[] = [];
  await using backend = await startHealthBackend();
  await using authority = await CertificateAuthority.create();
  const { cert, key } = await authority.issue("agent", { use: "client" });
  const own = ["--tls-cert-file", cert, "--tls-key-file", key];
  await withAgent({ flags: ["--metrics-backend-up", ...own] }, async (agent) => {
    await agent.ask(backend.line());
    samples = [...(await agent.metrics()).keys()];
  });
  return samples;
}

Deno.test("the dashboard and the alert rules ask only for metrics and labels that the agent has", async () => {
  const { panels } = await dashboard();
  const rules = await Deno.readTextFile(`${FOLDER}alerts.yml`);
  const ruled = [...rules.matchAll(/^ +expr: (?:>-\n((?: {10}.*\n)+)|(.*)$)/gm)]
    .map(([, long, short]) => long ?? short ?? "");
  assert.equal(ruled.length, rules.split("alert:").length - 1);
  const shown = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  const samples = await scrape();
  for (const expression of [...shown, ...ruled]) {
    const metrics = [...expression.matchAll(METRIC)];
    assert.ok(metrics.length > 0 || /^up\{/.test(expression), `No metric in ${expression}`);
    for (const [, name = "", selector = ""] of metrics) {
      const labels = [...selector.matchAll(LABEL)].map(([, label, value]) =>
        `${label}="(${value})"`
      );
      for (const label of ["", ...labels]) {
        const wanted = new RegExp(`^${name}(\\{.*${label}.*\\})?$`);
        const found = samples.some((sample) =>
          wanted.test(sample) && (label === "" || sample !== name)
        );
        assert.ok(found, `${name} ${label} of ${expression}`);
      }
    }
  }
});

Deno.test("the dashboard's panels have names and places of their own", async () => {
  const { panels } = await dashboard();
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  assert.equal(new Set(panels.map(({ title }) => title)).size, panels.length);
  const places = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, cell) => `${x + cell % w} ${y + Math.floor(cell / w)}`)
  );
  assert.equal(new Set(places).size, places.length, "No panel covers another");
  for (const place of places) assert.ok(Number(place.split(" ")[0]) < 24, "Grafana has 24 columns");
});

Deno.test("docs/operations.md has a paragraph for each alert and each error type", async () => {
  const document = await Deno.readTextFile(`${ROOT}docs/operations.md`);
  const headings = [...document.matchAll(/^### (.*)$/gm)].map(([, heading = ""]) => heading);
  const rules = await Deno.readTextFile(`${FOLDER}alerts.yml`);
  const alerts = [...rules.matchAll(/alert: (\w+)/g)].map(([, name = ""]) => name);
  const runbooks = [...rules.matchAll(/runbook: docs\/operations\.md#(\w+)/g)].map(([, id]) => id);
  assert.deepEqual(runbooks, alerts.map((name) => name.toLowerCase()));
  assert.deepEqual(
    headings.toSorted(),
    [...alerts, ...Object.keys(ADVICE), "parse_error", "no_descriptor"].toSorted(),
  );
});

testThatNeeds(PROMTOOL, "promtool accepts the alert rules", async () => {
  const { ok, output } = await promtool(["check", "rules", `${FOLDER}alerts.yml`]);
  assert.ok(ok, output);
});

testThatNeeds(PROMTOOL, "the alerts fire when they should, and only then", async () => {
  const { ok, output } = await promtool(["test", "rules", `${FOLDER}alerts_test.yml`]);
  assert.ok(ok, output);
});
