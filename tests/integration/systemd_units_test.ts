// systemd's own judge of the units; tests/container tries them.

import assert from "node:assert/strict";
import { runAgent } from "../lab/agent/run_agent.ts";
import { ROOT } from "../lab/testing/repository.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";
import { type Need, succeeds, testThatNeeds } from "../lab/testing/test_that_needs.ts";

const FOLDER = `${ROOT}deploy/systemd/`;
const PROGRAM = "/usr/local/bin/haproxy-grpc-agent";
const MAX_EXPOSURE = 1.5;

/** The units, the template as an instance of it. */
const UNITS = [
  { file: "haproxy-grpc-agent.service", unit: "haproxy-grpc-agent.service" },
  { file: "haproxy-grpc-agent@.service", unit: "haproxy-grpc-agent@one.service" },
] as const;

const ANALYZE: Need = {
  missing: succeeds("systemd-analyze", "--version")
    ? undefined
    : "systemd-analyze is missing: install Debian's systemd (it need not run)",
};

async function analyze(args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command("systemd-analyze", {
    args,
    env: { SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "" },
  }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

/** What a unit's file sets, line by line. */
function lines(file: string): string[] {
  return Deno.readTextFileSync(FOLDER + file).split("\n").filter((line) => !line.startsWith("#"));
}

function setting(file: string, name: string): string {
  const values = lines(file).filter((line) => line.startsWith(`${name}=`));
  assert.equal(values.length, 1, name);
  return values[0]?.slice(name.length + 1) ?? "";
}

for (const { file, unit } of UNITS) {
  testThatNeeds(ANALYZE, `systemd finds nothing wrong with ${file}`, async () => {
    await using directory = await TempDirectory.create();
    const text = await Deno.readTextFile(FOLDER + file);
    // The program is not installed here, and systemd looks for it.
    const path = await directory.write(unit, text.replaceAll(`=${PROGRAM}`, "=/bin/true"));
    assert.equal(await analyze(["verify", path]), "");
  });

  testThatNeeds(ANALYZE, `${file} leaves an exposure of ${MAX_EXPOSURE} at most`, async () => {
    const said = await analyze(["security", "--offline=true", "--no-pager", FOLDER + file]);
    const exposure = /exposure level for \S+: (\d+\.\d+)/.exec(said)?.[1];
    assert.ok(Number(exposure) <= MAX_EXPOSURE, `${exposure ?? said}`);
  });

  Deno.test(`${file} has time and descriptors for the agent's default settings`, async () => {
    const { stdout } = await runAgent(["--check-config"]);
    const settings = Object.fromEntries(stdout.map((line) => line.split(" = ")));
    const stopMs = Number(setting(file, "TimeoutStopSec")) * 1000;
    assert.ok(stopMs > Number(settings.shutdown_timeout_ms));
    const sockets = Number(settings.max_connections) + Number(settings.max_channels);
    assert.ok(Number(setting(file, "LimitNOFILE")) > sockets + 1000);
  });
}

Deno.test("the template is the unit but for the names of the instance", () => {
  const [single, template] = UNITS;
  const named = lines(template.file).map((line) =>
    line.replace(" (%i)", "")
      .replaceAll("%i.toml", "agent.toml")
      .replace(/^((?:EnvironmentFile|LogsDirectory)=.*)-%i$/, "$1")
  );
  assert.deepEqual(named, lines(single.file));
});
