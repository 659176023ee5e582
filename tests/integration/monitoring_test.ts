import assert from "node:assert/strict";
import { parse } from "yaml";
import { ADVICE } from "../../src/status/status.ts";
import { renderMixin } from "../../tools/packaging/mixin.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { dashboardMistakes, grafanaSchemaProblem } from "../lab/testing/grafana_schema.ts";
import { PROMTOOL, promtool } from "../lab/testing/promtool.ts";
import { ROOT } from "../lab/testing/repository.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";
import { type Need, succeeds, testThatNeeds } from "../lab/testing/test_that_needs.ts";

const JSONNET: Need = {
  missing: succeeds("jsonnet", "--version")
    ? undefined
    : "jsonnet is missing: install Debian's jsonnet",
};

const FOLDER = `${ROOT}deploy/monitoring/`;

/** A metric where Prometheus' language has one, with its selector; HAProxy's own are not the agent's to have. */
const METRIC = /\b((?:haproxy(?!_server_)|check|grpc|process)_[a-z_]+)(?:\{([^}]*)\})?/g;

/** What HAProxy itself exports of its servers; tests/haproxy/dynamic/agent_away_test.ts looks at those. */
const OF_HAPROXY = /\bhaproxy_server_/;

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

interface AlertRule {
  alert: string;
  expr: string;
  annotations: { runbook_url: string };
}

async function alertRules(file = "alerts.yml"): Promise<AlertRule[]> {
  const { groups } = parse(await Deno.readTextFile(FOLDER + file));
  return groups.flatMap(({ rules }: { rules: AlertRule[] }) => rules);
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
  const ruled = (await alertRules()).map(({ expr }) => expr);
  const shown = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  const samples = await scrape();
  for (const expression of [...shown, ...ruled]) {
    const metrics = [...expression.matchAll(METRIC)];
    const others = /^up\{/.test(expression) || OF_HAPROXY.test(expression);
    assert.ok(metrics.length > 0 || others, `No metric in ${expression}`);
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

testThatNeeds(
  { missing: await grafanaSchemaProblem() },
  "the dashboard follows Grafana's schema",
  async () => {
    assert.deepEqual(await dashboardMistakes(`${FOLDER}grafana-dashboard.json`), []);
    const board = await dashboard();
    const [panel] = board.panels;
    const misspelt = { ...board, panels: [{ ...panel, grid_pos: panel?.gridPos }] };
    await using directory = await TempDirectory.create();
    assert.deepEqual(
      await dashboardMistakes(await directory.write("misspelt.json", JSON.stringify(misspelt))),
      ["panels[0].Panel: unexpected field 'grid_pos'"],
    );
  },
);

Deno.test("each alert's runbook_url leads to a section that is there", async () => {
  for (
    const { alert, annotations } of [
      ...await alertRules(),
      ...await alertRules("haproxy_alerts.yml"),
    ]
  ) {
    const [, file, id] = /^https:\S+\/(docs\/\S+\.md)#(\S+)$/.exec(annotations.runbook_url) ?? [];
    assert.ok(file !== undefined, `${alert}: ${annotations.runbook_url}`);
    const document = await Deno.readTextFile(ROOT + file);
    // GitHub's ids of headings.
    const ids = [...document.matchAll(/^#+ (.*)$/gm)]
      .map(([, heading = ""]) =>
        heading.toLowerCase().replace(/[^\w\- ]/g, "").replaceAll(" ", "-")
      );
    assert.ok(id !== undefined && ids.includes(id), `${alert}: ${annotations.runbook_url}`);
  }
});

Deno.test("docs/operations.md has a paragraph for each alert and each error type", async () => {
  const document = await Deno.readTextFile(`${ROOT}docs/operations.md`);
  const headings = [...document.matchAll(/^### (.*)$/gm)].map(([, heading = ""]) => heading);
  const rules = await alertRules();
  const alerts = rules.map(({ alert }) => alert);
  assert.deepEqual(
    headings.toSorted(),
    [...alerts, ...Object.keys(ADVICE), "parse_error"].toSorted(),
  );
});

testThatNeeds(
  JSONNET,
  "alert rules and dashboard are what `deno task mixin` makes of the mixin",
  async () => {
    for (const [name, made] of await renderMixin()) {
      assert.equal(await Deno.readTextFile(FOLDER + name), made, name);
    }
  },
);

testThatNeeds(
  JSONNET,
  "a mixin of one's own chooses its targets and where its runbooks are",
  async () => {
    const own = "(import 'mixin.libsonnet') + " +
      `{ _config+:: { selector: 'job="mine"', documents: 'https://wiki.example' } }`;
    const { stdout } = await new Deno.Command("jsonnet", {
      args: ["--exec", `[group.rules[0] for group in (${own}).prometheusAlerts.groups]`],
      cwd: FOLDER,
    }).output();
    const first: AlertRule[] = JSON.parse(new TextDecoder().decode(stdout));
    assert.equal(first[0]?.expr, 'up{job="mine"} == 0');
    assert.deepEqual(first.map(({ annotations }) => annotations.runbook_url), [
      "https://wiki.example/operations.md#haproxygrpcagentgone",
      "https://wiki.example/deployment-guide.md#when-the-agent-is-away",
    ]);
  },
);

testThatNeeds(PROMTOOL, "promtool accepts the alert rules", async () => {
  const { ok, output } = await promtool(["check", "rules", `${FOLDER}alerts.yml`]);
  assert.ok(ok, output);
});

testThatNeeds(PROMTOOL, "the alerts fire when they should, and only then", async () => {
  const { ok, output } = await promtool(["test", "rules", `${FOLDER}alerts_test.yml`]);
  assert.ok(ok, output);
});
