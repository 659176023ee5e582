// Writes the documents that are made from the table of settings, the fault suite and the metrics:
// `deno task docs`.

import { configExample, configReference } from "./docs/config_documents.ts";
import { faultTable } from "./docs/fault_table.ts";
import { metricsTable } from "./docs/metrics_table.ts";
import { writeSection } from "./write_section.ts";

await Deno.writeTextFile(new URL("../config.example.toml", import.meta.url), configExample());
await Deno.writeTextFile(
  new URL("../docs/config-reference.md", import.meta.url),
  configReference(),
);
await writeSection(
  new URL("../docs/reliability.md", import.meta.url).pathname,
  "faults",
  faultTable(),
);
await writeSection(
  new URL("../docs/operations.md", import.meta.url).pathname,
  "metrics",
  await metricsTable(),
);
