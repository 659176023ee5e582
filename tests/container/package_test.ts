// The packages, installed for real under systemd: what an operator does with them, from install to purge.
// They hold the executable of `deno task compile`, or AGENT.

import assert from "node:assert/strict";
import { HealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { makeDebianImage } from "../lab/machine/docker/debian_image.ts";
import { DockerEngine, dockerProblem } from "../lab/machine/docker/docker_engine.ts";
import { SYSTEMD_PACKAGES, SystemdContainer } from "../lab/machine/docker/systemd_container.ts";
import { LabProcess } from "../lab/machine/lab_process.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { ROOT } from "../lab/testing/repository.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";
import { type Need, testThatNeeds } from "../lab/testing/test_that_needs.ts";

const NAME = "haproxy-grpc-agent";
const CONFIGURATION = `/etc/${NAME}/config.toml`;
const EXECUTABLE = Deno.env.get("AGENT") ?? `${ROOT}dist/${NAME}`;
const NFPM = Deno.env.get("NFPM") ?? "nfpm";
const BACKEND = { host: "127.0.0.1", port: 50051 };
/** Asks the agent as HAProxy does. */
const ASK = String.raw`exec 3<>/dev/tcp/127.0.0.1/5555; ` +
  String.raw`printf '127.0.0.1 50051 no-ssl api.internal\n' >&3; head -n 1 <&3`;
/** Faults of the packages that their linters may find: nothing else may be wrong. */
const ACCEPTED = [
  "E: non-readable /etc/default/haproxy-grpc-agent 640", // secrets
  "E: no-signature", // the release's files are signed instead: docs/releasing.md
  "E: no-changelogname-tag", // it is in changelog.gz
  "E: no-binary", // there is one: rpmlint takes it for data
];

function missing(...programs: string[]): string | undefined {
  for (const program of programs) {
    try {
      new Deno.Command(program, { args: ["--version"], stdout: "null" }).outputSync();
    } catch {
      return `${program} is missing`;
    }
  }
  try {
    Deno.statSync(EXECUTABLE);
    return undefined;
  } catch {
    return `${EXECUTABLE} is missing: deno task compile`;
  }
}

const need: Need = {
  missing: dockerProblem("debootstrap") ?? missing(NFPM, "dpkg-deb", "lintian", "rpm", "rpmlint"),
};

async function run(program: string, args: string[], env: Record<string, string> = {}) {
  await using process = new LabProcess(program, { args, env });
  const { code } = await process.exited;
  return { code, said: [...process.stdout.lines, ...process.stderr.lines] };
}

async function succeed(program: string, args: string[], env?: Record<string, string>) {
  const { code, said } = await run(program, args, env);
  assert.equal(code, 0, said.join("\n"));
  return said;
}

/** Builds both packages of an executable. @returns their paths */
async function build(executable: string): Promise<{ deb: string; rpm: string }> {
  const folder = `${ROOT}dist/packages`;
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await succeed(Deno.execPath(), ["run", "--allow-all", `${ROOT}tools/package.ts`, executable], {
    PACKAGE_COMPRESSION: "gzip",
  });
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).toSorted();
  const [rpm = "", deb = ""] = names;
  assert.match(names.join(" "), /^\S+-1\.(x86_64|aarch64)\.rpm \S+-1_(amd64|arm64)\.deb$/);
  return { deb: `${folder}/${deb}`, rpm: `${folder}/${rpm}` };
}

/** The package of a version after it, with another configuration. @returns its path */
async function nextVersion(deb: string, folder: string): Promise<string> {
  await succeed("dpkg-deb", ["--raw-extract", deb, `${folder}/next`]);
  const edits: [string, (text: string) => string][] = [
    ["DEBIAN/control", (text) => text.replace(/^Version: .*$/m, "Version: 99.0.0-1")],
    [CONFIGURATION.slice(1), (text) => `${text}\n# New in 99.0.0.\n`],
  ];
  for (const [file, edit] of edits) {
    const path = `${folder}/next/${file}`;
    await Deno.writeTextFile(path, edit(await Deno.readTextFile(path)));
  }
  await succeed("dpkg-deb", ["-Zgzip", "--build", `${folder}/next`, `${folder}/next.deb`]);
  return `${folder}/next.deb`;
}

testThatNeeds(
  { missing: missing(NFPM, "dpkg-deb", "rpm") },
  "packages are for the processor that their executable is for",
  async () => {
    const header = new Uint8Array(20);
    header.set(new TextEncoder().encode("\x7fELF"));
    await using folder = await TempDirectory.create();
    for (
      const [machine, architecture, rpmArchitecture] of [[62, "amd64", "x86_64"], [
        183,
        "arm64",
        "aarch64",
      ]] as const
    ) {
      header[18] = machine;
      const executable = `${folder.path}/${architecture}`;
      await Deno.writeFile(executable, header);
      const { deb, rpm } = await build(executable);
      assert.deepEqual(await succeed("dpkg-deb", ["--field", deb, "Architecture"]), [architecture]);
      assert.deepEqual(await succeed("rpm", ["-qp", "--queryformat", "%{ARCH}\\n", rpm]), [
        rpmArchitecture,
      ]);
    }
  },
);

testThatNeeds(need, "the packages, from the installation to the purge", async (t) => {
  const { deb, rpm } = await build(EXECUTABLE);
  await using folder = await TempDirectory.create();
  const next = await nextVersion(deb, folder.path);

  await t.step("lintian and rpmlint find no error in them", async () => {
    const errors = [
      ...(await run("lintian", ["--fail-on", "none", "--allow-root", deb])).said,
      ...(await run("rpmlint", [rpm])).said.map((line) => line.replace(/^\S+: (?=[EW]: )/, "")),
    ].filter((line) => /^E: /.test(line)).map((line) => line.trim());
    assert.deepEqual(errors.filter((error) => !ACCEPTED.includes(error)), []);
  });

  await t.step("rpm sees the configuration as such, and what it requires", async () => {
    assert.deepEqual(await succeed("rpm", ["-qp", "--configfiles", rpm]), [
      `/etc/default/${NAME}`,
      CONFIGURATION,
    ]);
    const requires = (await succeed("rpm", ["-qp", "--requires", rpm])).join(" ");
    assert.match(requires, /libc\.so\.6.*systemd/);
  });

  await using engine = await DockerEngine.find();
  const image = "haproxy-grpc-agent-test-packages";
  const packages = [...SYSTEMD_PACKAGES, "rpm"];
  await makeDebianImage(engine, image, { suite: "bookworm", packages });
  await using machine = await SystemdContainer.start(engine, image);
  const shell = (commands: string) => machine.run(commands);
  const property = (name: string, unit = NAME) => machine.property(unit, name);
  await Deno.mkdir(`${folder.path}/packages`);
  for (const [path, name] of [[deb, "now.deb"], [next, "next.deb"], [rpm, "now.rpm"]] as const) {
    await Deno.copyFile(path, `${folder.path}/packages/${name}`);
  }
  await machine.copy(`${folder.path}/packages`, "/root");
  await using backend = new HealthBackend(
    machine.inNetwork([
      ...[Deno.execPath(), "run", "--allow-all"],
      `${ROOT}tests/lab/backends/libraries/health_backend_process.ts`,
    ]),
    BACKEND,
  );
  await backend.start();

  await t.step("an installed agent runs as its user and answers", async () => {
    await shell("dpkg --install packages/now.deb");
    assert.equal(await shell(ASK), "up");
    const owner = await shell(`stat --format %U /proc/${await property("MainPID")}`);
    assert.equal(owner, NAME);
    assert.equal(await property("UnitFileState"), "enabled");
    assert.equal(await shell(`stat --format '%U %a' /var/log/${NAME}`), `${NAME} 700`);
    const exposure = await shell(`systemd-analyze security ${NAME} | tail -n 1`);
    assert.ok(Number(/\d+\.\d+/.exec(exposure)?.[0]) <= 1.5, exposure);
  });

  await t.step("an agent that is killed is started again", async () => {
    const pid = await property("MainPID");
    await shell(`kill -KILL ${pid}`);
    await eventually(
      "the restart",
      async () => await property("MainPID") !== pid && await property("ActiveState") === "active",
      {
        timeoutMs: 30_000,
      },
    );
    assert.equal(await shell(ASK), "up");
  });

  await t.step("an upgrade keeps a changed configuration, and restarts what runs", async () => {
    await shell(`echo 'reply_reason = true' >> ${CONFIGURATION}; systemctl reload ${NAME}`);
    await shell(
      `sed -e 's/^metrics_bind.*/&\\nserver_port = 5556\\nmetrics_port = 9091/' ${CONFIGURATION} ` +
        `> /etc/${NAME}/two.toml; systemctl start ${NAME}@two`,
    );
    const units = [NAME, `${NAME}@two`];
    const before = await Promise.all(units.map((unit) => property("MainPID", unit)));
    await shell("dpkg --force-confdef --force-confold --install packages/next.deb");
    for (const [index, unit] of units.entries()) {
      assert.equal(await property("ActiveState", unit), "active");
      assert.notEqual(await property("MainPID", unit), before[index]);
    }
    assert.equal(await shell(ASK), "up");
    await backend.setStatus("", "NOT_SERVING");
    assert.equal(await shell(ASK), "down #NOT_SERVING", "The changed setting is in force");
    await backend.setStatus("", "SERVING");
    assert.match(await shell(`cat ${CONFIGURATION}.dpkg-dist`), /New in 99\.0\.0/);
    await shell(`systemctl stop ${NAME}@two; rm /etc/${NAME}/two.toml`);
  });

  await t.step("what was stopped and disabled stays so through an upgrade", async () => {
    await shell(`systemctl disable --now ${NAME}`);
    await shell("dpkg --force-confold --install packages/now.deb");
    assert.equal(await property("ActiveState"), "inactive");
    assert.equal(await property("UnitFileState"), "disabled");
    await shell(`systemctl enable --now ${NAME}`);
    assert.equal(await shell(ASK), "up");
  });

  await t.step(
    "a removal stops it and leaves the configuration; a new installation has it",
    async () => {
      await shell(`dpkg --remove ${NAME}; test ! -e /usr/bin/${NAME}; test -e ${CONFIGURATION}`);
      assert.notEqual((await machine.try(ASK)).code, 0);
      await shell("dpkg --force-confold --install packages/now.deb");
      assert.match(await shell(`tail -n 1 ${CONFIGURATION}`), /reply_reason/);
      assert.equal(await shell(ASK), "up");
    },
  );

  await t.step("a purge leaves nothing but the user", async () => {
    await shell(`dpkg --purge ${NAME}`);
    const left = await shell(`find / -xdev -path /root -prune -o -name '*${NAME}*' -print`);
    assert.equal(left, "");
    assert.equal(await shell(`systemctl list-units --all --no-legend '${NAME}*'`), "");
    await shell(`getent passwd ${NAME}`);
  });

  await t.step("the rpm installs, answers, and is erased", async () => {
    await shell(
      `userdel ${NAME}; rpm --install --nodeps packages/now.rpm; systemctl start ${NAME}`,
    );
    assert.equal(await shell(ASK), "up");
    await shell(`echo 'reply_reason = true' >> ${CONFIGURATION}`);
    const pid = await property("MainPID");
    await shell("rpm --upgrade --force --nodeps packages/now.rpm");
    assert.match(await shell(`tail -n 1 ${CONFIGURATION}`), /reply_reason/);
    assert.notEqual(await property("MainPID"), pid);
    assert.equal(await shell(ASK), "up");
    await shell(`rpm --erase --nodeps ${NAME}; test ! -e /usr/bin/${NAME}`);
    assert.equal((await machine.try(`systemctl is-active ${NAME}`)).stdout.trim(), "inactive");
  });
});
