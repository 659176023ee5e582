// The units and docs/deployment-guide.md under a real systemd: the commands are the guide's own.

import assert from "node:assert/strict";
import { dirname } from "node:path";
import { HealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { makeDebianImage } from "../lab/machine/docker/debian_image.ts";
import { DockerEngine, dockerProblem } from "../lab/machine/docker/docker_engine.ts";
import { SYSTEMD_PACKAGES, SystemdContainer } from "../lab/machine/docker/systemd_container.ts";
import { LabProcess } from "../lab/machine/lab_process.ts";
import { eventually, within } from "../lab/testing/eventually.ts";
import { documentCommands, repositoryFiles, ROOT } from "../lab/testing/repository.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";
import { testThatNeeds } from "../lab/testing/test_that_needs.ts";

const GUIDE = documentCommands("docs/deployment-guide.md");
const UNIT = "haproxy-grpc-agent";
const CONFIGURATION = "/etc/haproxy-grpc-agent/agent.toml";
/** Where the guide's commands are typed. */
const CLONE = "/root/clone";
/** The guide's backend, and the line that asks for it. */
const BACKEND = { host: "10.0.3.7", port: 50051 };
const LINE = String.raw`${BACKEND.host} ${BACKEND.port} no-ssl api.internal\n`;
/** Asks the agent as HAProxy does. */
const ASK = `exec 3<>/dev/tcp/127.0.0.1/5555; printf '${LINE}' >&3; head -n 1 <&3`;
/** After how many starts that fail systemd has given up where it does. */
const MANY_STARTS = 12;
/** Time for so many, in milliseconds. */
const MANY_STARTS_MS = 90_000;

/** The guide's block of commands under a heading. */
function commandsOf(heading: string, index = 0): string {
  const commands = GUIDE.get(heading)?.[index];
  if (commands === undefined) throw new Error(`The guide has no commands under ${heading}`);
  return commands;
}

/** Builds what is to be installed, as the guide says, in a copy of the project. */
async function build(folder: string): Promise<void> {
  for (const path of repositoryFiles(() => true)) {
    await Deno.mkdir(dirname(`${folder}/${path}`), { recursive: true });
    await Deno.copyFile(ROOT + path, `${folder}/${path}`);
  }
  const script = `cd ${folder}\n${commandsOf("Build")}`;
  await using shell = new LabProcess("bash", { args: ["-ec", script] });
  assert.equal((await shell.exited).code, 0, shell.stderr.lines.join("\n"));
}

const need = { missing: dockerProblem("debootstrap") };

testThatNeeds(need, "the agent under systemd, as the deployment guide has it", async (t) => {
  await using engine = await DockerEngine.find();
  const image = "haproxy-grpc-agent-test-systemd";
  const packages = [...SYSTEMD_PACKAGES, "netcat-openbsd"];
  await makeDebianImage(engine, image, { suite: "bookworm", packages });
  await using machine = await SystemdContainer.start(engine, image);
  const shell = (commands: string) => machine.run(commands, CLONE);
  const property = (name: string, unit = UNIT) => machine.property(unit, name);
  const isActive = async (unit = UNIT) => await property("ActiveState", unit) === "active";
  const journal = (lines = 50) =>
    shell(`journalctl --unit '${UNIT}*' --lines ${lines} --output cat`);

  const address = ["ip", "address", "add", `${BACKEND.host}/24`, "dev", "lo"];
  const [program = "", ...args] = machine.inNetwork(address);
  await using addressing = new LabProcess(program, { args });
  assert.equal((await addressing.exited).code, 0, addressing.stderr.lines.join("\n"));
  const backendProgram = [Deno.execPath(), "run", "--allow-all"];
  await using backend = new HealthBackend(
    machine.inNetwork([
      ...backendProgram,
      `${ROOT}tests/lab/backends/libraries/health_backend_process.ts`,
    ]),
    BACKEND,
  );
  await backend.start();

  await t.step(
    "from the build on, the first check is answered as soon as the start returns",
    async () => {
      await using folder = await TempDirectory.create();
      await build(folder.path);
      await machine.copy(`${folder.path}/dist`, CLONE);
      await machine.copy(`${folder.path}/deploy`, CLONE);
      await shell(commandsOf("Install"));
      await shell(commandsOf("Configure"));
      assert.equal(await shell(`${commandsOf("Start")}\n${ASK}`), "up");
      const verified = await shell(commandsOf("Verify"));
      assert.match(verified, /^verdict +serving$/m);
      assert.match(verified, /^up$/m);
    },
  );

  await t.step("the agent's process has no rights", async () => {
    const pid = await property("MainPID");
    const status = await shell(`cat /proc/${pid}/status`);
    const fields = Object.fromEntries(status.split("\n").map((line) => line.split(/:\t/)));
    const none = "0".repeat(16);
    const { CapInh, CapPrm, CapEff, CapBnd, CapAmb, NoNewPrivs, Seccomp, Uid, SigBlk } = fields;
    assert.deepEqual({ CapInh, CapPrm, CapEff, CapBnd, CapAmb, NoNewPrivs, Seccomp }, {
      ...{ CapInh: none, CapPrm: none, CapEff: none, CapBnd: none, CapAmb: none },
      ...{ NoNewPrivs: "1", Seccomp: "2" },
    });
    const [uid = ""] = Uid.split("\t");
    assert.equal(Uid, [uid, uid, uid, uid].join("\t"));
    assert.ok(Number(uid) >= 61184 && Number(uid) <= 65519, `${uid} is no dynamic user`);
    const usr1 = 1n << 9n;
    assert.ok((BigInt(`0x${SigBlk}`) & usr1) !== 0n, "SIGUSR1 does not open Deno's debugger");
    assert.match(await shell(`cat /proc/${pid}/limits`), /^Max open files +16384 +16384 /m);
  });

  await t.step(
    "a program in the agent's place can write to its log folder and /tmp alone",
    async () => {
      const attempts = [
        ...[
          "/etc",
          "/usr",
          "/opt/haproxy-grpc-agent/cache",
          "/var/lib",
          "/var/log",
          "/home",
          "/run",
        ]
          .map((folder) => `touch ${folder}/attempt`),
        ...[
          "ls /home",
          "ls /root",
          "cat /proc/1/status",
          "cat /proc/meminfo",
          "unshare --user true",
        ],
        ...["mknod /tmp/null c 1 3", "touch /tmp/attempt", 'touch "$LOGS_DIRECTORY/attempt"'],
      ];
      const probe = attempts.map((attempt) => `${attempt} && echo 'could ${attempt}'`);
      await shell(`cat > /usr/local/bin/probe <<'END'\n${probe.join("\n")}\ntrue\nEND`);
      await shell(
        `sed -e 's,^ExecStart=.*,ExecStart=/bin/sh /usr/local/bin/probe,; /^ExecStartPost=/d' ` +
          `-e 's,^Type=.*,Type=oneshot,; s,^Restart=.*,Restart=no,; s,^LogsDirectory=.*,LogsDirectory=probe,' ` +
          `/etc/systemd/system/${UNIT}.service > /run/systemd/system/probe.service`,
      );
      await shell("systemctl daemon-reload && systemctl start probe");
      const could = (await shell("journalctl --unit probe --output cat")).split("\n")
        .filter((line) => line.startsWith("could "));
      assert.deepEqual(could, [
        "could touch /tmp/attempt",
        'could touch "$LOGS_DIRECTORY/attempt"',
      ]);
      await shell("test ! -e /tmp/attempt"); // its /tmp is its own
    },
  );

  // Of SIGTERM it ends with 0.
  for (const [signal, restarts] of [["KILL", "1"], ["TERM", "2"]] as const) {
    await t.step(`an agent that gets SIG${signal} is started again, and answers`, async () => {
      const pid = await property("MainPID");
      await shell(`kill -${signal} ${pid}`);
      await eventually(
        "the restart",
        async () => await property("MainPID") !== pid && await isActive(),
        { timeoutMs: 30_000 },
      );
      assert.equal(await property("NRestarts"), restarts);
      assert.equal(await shell(ASK), "up");
    });
  }

  await t.step(
    "a start succeeds, and checks are answered, where the metrics port is taken",
    async () => {
      await shell(`systemctl stop ${UNIT} && systemd-run --unit taken nc -lk 127.0.0.1 9090`);
      assert.equal(await shell(`systemctl start ${UNIT}\n${ASK}`), "up");
      await shell(`systemctl stop taken && systemctl restart ${UNIT}`);
      assert.ok(await isActive());
    },
  );

  await t.step("a reload takes the changed configuration and keeps the process", async () => {
    const pid = await property("MainPID");
    await backend.setStatus("", "NOT_SERVING");
    assert.equal(await shell(ASK), "down");
    await shell(commandsOf("Change the configuration"));
    await eventually("the reason", async () => await shell(ASK) === "down #NOT_SERVING");
    assert.equal(await property("MainPID"), pid);
    await backend.setStatus("", "SERVING");
  });

  await t.step("a reload with a mistake fails, says which, and changes nothing", async () => {
    const pid = await property("MainPID");
    await shell(`cp ${CONFIGURATION} /root/good.toml; echo 'fal = 3' >> ${CONFIGURATION}`);
    const { code } = await machine.try(`systemctl reload ${UNIT}`);
    assert.notEqual(code, 0);
    await eventually("the agent's word", async () => /stays as it was/.test(await journal()));
    assert.match(await journal(), /haproxy-grpc-agent: .*fal\b.*fall/);
    assert.equal(await property("MainPID"), pid);
    assert.equal(await shell(ASK), "up");
    assert.ok(await isActive());
  });

  await t.step(
    "a start with mistakes fails, with each in the journal, and is tried until they are gone",
    async () => {
      await shell(`echo 'rise = 0' >> ${CONFIGURATION}`);
      const { code } = await machine.try(`systemctl restart ${UNIT}`);
      assert.notEqual(code, 0);
      await eventually(
        `${MANY_STARTS} starts`,
        async () => Number(await property("NRestarts")) >= MANY_STARTS,
        { timeoutMs: MANY_STARTS_MS, everyMs: 200 },
      );
      assert.equal(await property("ActiveState"), "activating");
      const said = await journal(20);
      assert.match(said, /fal\b.*fall/);
      assert.match(said, /rise.*0/);
      await shell(`cp /root/good.toml ${CONFIGURATION}`);
      await eventually("the agent to start by itself", isActive, { timeoutMs: 15_000 });
      assert.equal(await shell(ASK), "up");
    },
  );

  await t.step("a stop answers the check under way, and ends with 0 by itself", async () => {
    await backend.setDelay(1200);
    const { calls } = await backend.report();
    await using client = machine.start(ASK);
    await eventually("the check to begin", async () => (await backend.report()).calls > calls);
    const pid = await property("MainPID");
    await shell(`systemctl stop ${UNIT}`);
    await within("the client's end", 10_000, client.exited);
    assert.deepEqual(client.stdout.lines, ["up"]);
    assert.deepEqual(
      [await property("Result"), await property("ExecMainCode"), await property("ExecMainStatus")],
      ["success", "1", "0"], // 1: it has exited
    );
    assert.doesNotMatch(await journal(), /SIGKILL.*|Killing process/);
    await backend.setDelay(0);
    await shell(`systemctl start ${UNIT}; test ! -d /proc/${pid}`);
  });

  await t.step("an upgrade can be rolled back", async () => {
    await shell(commandsOf("Upgrade and roll back", 0));
    await shell(commandsOf("Install"));
    await shell(commandsOf("Upgrade and roll back", 1));
    assert.equal(await shell(ASK), "up");
    // Nothing of the new version may be needed after it.
    await shell("rm /opt/haproxy-grpc-agent/haproxy-grpc-agent.mjs");
    await shell(commandsOf("Upgrade and roll back", 2));
    assert.equal(await shell(ASK), "up");
  });

  await t.step("log files and address rules are as the guide says", async () => {
    assert.match(await shell(commandsOf("Log files")), /"message":"Listening"/);
    await shell(commandsOf("Firewall"));
    assert.equal(await shell(ASK), "up");
    const rules = `/etc/systemd/system/${UNIT}.service.d/addresses.conf`;
    await shell(`sed -i 's,^IPAddressAllow=.*,IPAddressAllow=localhost,' ${rules}`);
    await shell(`systemctl daemon-reload; systemctl restart ${UNIT}`);
    assert.match(await shell(ASK), /^down/, "The backend is not among the addresses");
    await shell(`rm ${rules}`);
  });

  await t.step("a key of a client certificate is open to the agent, by its group", async () => {
    await using authority = await CertificateAuthority.create();
    const { cert, key } = await authority.issue("agent", { use: "client" });
    for (const [name, path] of [["client.pem", cert], ["client.key", key]] as const) {
      await shell(`cat > ${name} <<'END'\n${(await Deno.readTextFile(path)).trimEnd()}\nEND`);
    }
    await shell(commandsOf("Client certificates"));
    assert.equal(await shell(ASK), "up");
    await shell(`systemctl reload ${UNIT}`);
    // Without the group it could not have read it.
    await shell("chgrp root /etc/haproxy-grpc-agent/client.key");
    assert.notEqual((await machine.try(`systemctl reload ${UNIT}`)).code, 0);
  });

  await t.step(
    "two agents stand beside each other as one user, and either answers alone",
    async () => {
      await shell(commandsOf("Configure"));
      await shell(commandsOf("Several agents"));
      const units = [`${UNIT}@one`, `${UNIT}@two`] as const;
      const asks = [ASK, ASK.replace("5555", "5556")] as const;
      const users = await Promise.all(units.map(async (unit) => {
        assert.ok(await isActive(unit));
        return await shell(`stat --format %u /proc/${await property("MainPID", unit)}`);
      }));
      assert.equal(users[0], users[1]);
      for (const [index, unit] of units.entries()) {
        await shell(`systemctl stop ${unit}`);
        assert.equal(await shell(asks[1 - index] ?? ""), "up", `without ${unit}`);
        await shell(`systemctl start ${unit}`);
      }
      const seen = await shell(commandsOf("At 3 a.m."));
      for (const unit of units) assert.ok(seen.includes(`${unit}.service`));
    },
  );

  await t.step("nothing is left when it is uninstalled", async () => {
    await shell(commandsOf("Uninstall"));
    assert.equal(await shell(`find / -xdev -path ${CLONE} -prune -o -name '*${UNIT}*' -print`), "");
    assert.equal((await machine.try(`getent group ${UNIT}-keys`)).code, 2);
    assert.equal(await shell(`systemctl list-units --all --no-legend '${UNIT}*'`), "");
  });
});
