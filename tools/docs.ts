// Writes the documents that are made from the table of settings: `deno task docs`.

import { configExample, configReference } from "./docs/config_documents.ts";

await Deno.writeTextFile(new URL("../config.example.toml", import.meta.url), configExample());
await Deno.writeTextFile(
  new URL("../docs/config-reference.md", import.meta.url),
  configReference(),
);
