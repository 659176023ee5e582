import assert from "node:assert/strict";
import { loadConfiguration } from "../../../src/config/load.ts";
import { SETTING_ROWS, SETTINGS } from "../../../src/config/settings.ts";
import { configExample, configReference } from "../../../tools/docs/config_documents.ts";
import { faultTable } from "../../../tools/docs/fault_table.ts";
import { metricsTable } from "../../../tools/docs/metrics_table.ts";

const ROOT = new URL("../../../", import.meta.url);

for (
  const [file, made] of [
    ["config.example.toml", configExample()],
    ["docs/config-reference.md", configReference()],
  ] as const
) {
  Deno.test(`${file} is what \`deno task docs\` makes of the table of settings`, async () => {
    assert.equal(await Deno.readTextFile(new URL(file, ROOT)), made);
  });
}

for (
  const [file, of, table] of [
    ["docs/reliability.md", "every fault of the suite", faultTable()],
    ["docs/operations.md", "every metric", await metricsTable()],
  ] as const
) {
  Deno.test(`${file} tells of ${of}, as \`deno task docs\` writes it`, async () => {
    const document = await Deno.readTextFile(new URL(file, ROOT));
    const inOne = (text: string) => text.replace(/[ -]+/g, " ");
    assert.ok(inOne(document).includes(inOne(table)));
  });
}

Deno.test("config.example.toml sets each setting to its default", async () => {
  const loaded = await loadConfiguration({
    flags: new Map(),
    configFile: "config.example.toml",
    environment: {},
    readTextFile: () => configExample(),
  });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const defaults = Object.entries(SETTINGS).map(([key, row]) => [key, row.default]);
  assert.deepEqual(loaded.configuration.settings, Object.fromEntries(defaults));
});

Deno.test("config.example.toml and docs/config-reference.md name every setting", () => {
  for (const { toml } of SETTING_ROWS) {
    const key = toml.at(-1)?.split(".").at(-1) ?? "";
    assert.match(configExample(), new RegExp(`^(# )?${key} = `, "m"));
    assert.ok(configReference().includes(`${toml.at(-1)}\``), key);
  }
});
