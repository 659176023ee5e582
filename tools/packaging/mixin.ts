// Renders the monitoring mixin: `deno task mixin` writes deploy/monitoring's alerts.yml and grafana-dashboard.json.

import { stringify } from "yaml";
import { runProgram } from "./run_program.ts";

const FOLDER = new URL("../../deploy/monitoring/", import.meta.url).pathname;

/** The files that the mixin makes, by their names; the alerts on HAProxy's own metrics are written by hand. */
export async function renderMixin(): Promise<Map<string, string>> {
  const alerts = await evaluate(
    "{ groups: (import 'mixin.libsonnet').prometheusAlerts.groups[:1] }",
  );
  const dashboards = await evaluate("(import 'mixin.libsonnet').grafanaDashboards");
  return new Map([
    [
      "alerts.yml",
      "# Made by deno task mixin. What to do at each: docs/operations.md.\n" +
      stringify(alerts, { lineWidth: 110 }),
    ],
    [
      "grafana-dashboard.json",
      `${JSON.stringify(dashboards["haproxy-grpc-agent.json"], null, 2)}\n`,
    ],
  ]);
}

async function evaluate(expression: string) {
  const options = { args: ["--exec", expression], cwd: FOLDER };
  return JSON.parse(await runProgram("jsonnet", "install Debian's jsonnet", options));
}

if (import.meta.main) {
  try {
    for (const [name, text] of await renderMixin()) await Deno.writeTextFile(FOLDER + name, text);
  } catch (error) {
    console.error((error as Error).message);
    Deno.exit(1);
  }
}
