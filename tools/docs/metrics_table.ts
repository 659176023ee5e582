import {
  addBackendMetrics,
  addCertificateMetrics,
  addLogMetrics,
  addPatienceMetrics,
  addProcessMetrics,
} from "../../src/metrics/collectors.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { BackendHistory } from "../../src/status/history.ts";

/** @returns a Markdown table of all that `/metrics` shows, by name */
export async function metricsTable(): Promise<string> {
  const { registry } = new Metrics();
  addProcessMetrics(registry);
  addBackendMetrics(registry, new BackendHistory(() => 0), () => true);
  addPatienceMetrics(registry, () => 0);
  addLogMetrics(registry, () => 0);
  addCertificateMetrics(registry, () => []);
  const shown = await registry.getMetricsAsJSON();
  const rows = shown.sort((a, b) => a.name < b.name ? -1 : 1).map(
    ({ name, help, type, values }) => {
      // The library's types do not have it.
      const { labelNames } = registry.getSingleMetric(name) as unknown as { labelNames: string[] };
      const labels = labelNames.map((label) => {
        const known = new Set(values.map(({ labels }) => labels[label]));
        // A label of one value tells of this very agent.
        if (known.size < 2) return `\`${label}\``;
        return `\`${label}\`: ${Array.from(known, (value) => `\`${value}\``).join(", ")}`;
      });
      return `| \`${name}\` | ${type} | ${labels.join("; ")} | ${help.replace(/\.$/, "")} |`;
    },
  );
  return ["| name | type | labels | what it says |", "| --- | --- | --- | --- |", ...rows].join(
    "\n",
  );
}
