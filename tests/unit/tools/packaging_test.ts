import assert from "node:assert/strict";
import { OTHER_FLAGS } from "../../../src/config/command_line.ts";
import { ENV_PREFIX, SETTING_ROWS } from "../../../src/config/settings.ts";
import { debianChangelog, releaseNotes, releases } from "../../../tools/packaging/changelog.ts";
import { bashCompletion, zshCompletion } from "../../../tools/packaging/completion.ts";
import { manualPage } from "../../../tools/packaging/manual_page.ts";
import { packagedUnit } from "../../../tools/packaging/packaged_unit.ts";
import { ROOT } from "../../lab/testing/repository.ts";

const FLAGS = [...SETTING_ROWS.map(({ flag }) => flag), ...Object.keys(OTHER_FLAGS)];

Deno.test("the manual page names each flag, variable and TOML key, and escapes what roff would take", () => {
  const page = manualPage("1.2.3", "2026-11-27");
  const plain = page.replaceAll("\\-", "-");
  for (const flag of FLAGS) assert.ok(plain.includes(`\\fB--${flag}\\fR`), flag);
  for (const { env, toml } of SETTING_ROWS) {
    assert.ok(plain.includes(ENV_PREFIX + env));
    for (const key of toml) assert.ok(plain.includes(key), key);
  }
  for (const line of page.split("\n")) assert.doesNotMatch(line, /^'|\\(?![-eRBfI&"]|fR)/, line);
});

/** What bash offers where the words end. */
async function complete(...words: string[]): Promise<string[]> {
  const script = `${bashCompletion()}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _haproxy_grpc_agent; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await new Deno.Command("bash", {
    args: ["-c", script, "bash", "haproxy-grpc-agent", ...words],
    cwd: ROOT,
  }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

Deno.test("bash completes commands, flags, and what may follow a flag", async () => {
  assert.deepEqual(await complete(""), ["check", "ready"]);
  assert.deepEqual(await complete("--"), FLAGS.map((flag) => `--${flag}`));
  assert.deepEqual(await complete("--log-format", ""), ["json", "pretty"]);
  assert.deepEqual(await complete("--config", "deno.j"), ["deno.json"]);
  assert.deepEqual(await complete("-c", "deno.j"), ["deno.json"]);
  assert.deepEqual(await complete("--server-port", ""), [""]);
  assert.deepEqual(await complete("check", "10.0.0.1", "50051", ""), ["ssl", "no-ssl"]);
});

Deno.test("zsh's completion offers each flag once", () => {
  const text = zshCompletion();
  for (const flag of FLAGS) assert.equal(text.split(`'--${flag}'`).length, 2, flag);
});

for (const file of ["haproxy-grpc-agent.service", "haproxy-grpc-agent@.service"]) {
  Deno.test(`the package's ${file} runs the package's program, as the package's user`, async () => {
    const unit = packagedUnit(await Deno.readTextFile(`${ROOT}deploy/systemd/${file}`));
    assert.doesNotMatch(unit, /\/usr\/local|DynamicUser|agent\.toml|deployment-guide/);
    assert.match(unit, /^ExecStart=\/usr\/bin\/haproxy-grpc-agent --config \/etc\//m);
    assert.match(unit, /^User=haproxy-grpc-agent$/m);
  });
}

const CHANGELOG = `# Changelog

## [Unreleased]

- New.

## [1.1.0] - 2026-11-27

### Added

- More.

## [1.0.0] - 2026-10-01

- First.

[1.0.0]: https://example.org/1.0.0
`;

Deno.test("a release's notes are those of its version in the change log", () => {
  assert.equal(releaseNotes(CHANGELOG, "1.1.0"), "### Added\n\n- More.");
  assert.equal(releaseNotes(CHANGELOG, "1.0.0"), "- First.");
  assert.throws(() => releaseNotes(CHANGELOG, "1.2.0"), /no version 1\.2\.0/);
  assert.throws(() => releaseNotes(CHANGELOG, "Unreleased"), /has no date/);
  assert.throws(() => releaseNotes("## [1.0.0] - 2026-10-01\n", "1.0.0"), /says nothing/);
});

Deno.test("the headings of CHANGELOG.md are those of versions", async () => {
  assert.ok(releases(await Deno.readTextFile(`${ROOT}CHANGELOG.md`)).length > 0);
});

Deno.test("the Debian change log names version, maintainer and day as dpkg has them", () => {
  const text = debianChangelog("1.0.0-1", "A Name <a@example.org>", new Date("2026-11-07"));
  assert.match(text, /^haproxy-grpc-agent \(1\.0\.0-1\) stable; urgency=medium\n\n {2}\* /);
  assert.match(text, /\n -- A Name <a@example\.org> {2}Sat, 07 Nov 2026 00:00:00 \+0000\n$/);
});
