import { existsSync } from "node:fs";
import { eventually, withSeen } from "../../testing/eventually.ts";
import { LabProcess } from "../lab_process.ts";
import type { DockerEngine, DockerOutcome } from "./docker_engine.ts";

/** What a Debian image needs for {@linkcode SystemdContainer}. */
export const SYSTEMD_PACKAGES = ["systemd", "systemd-sysv", "dbus"];

/** Time that systemd has to start, in milliseconds; five seconds on a machine that does nothing else. */
const START_TIMEOUT_MS = 60_000;

/** The folder of systemd's own hierarchy of control groups; only cgroup v1 has one. */
const V1_HIERARCHY = "/sys/fs/cgroup/systemd";

/** A machine of its own, as far as systemd can tell: a container without network in which it is init. */
export class SystemdContainer implements AsyncDisposable {
  readonly #engine: DockerEngine;
  readonly #id: string;
  /** The process of its init, as this machine sees it. */
  readonly pid: number;

  private constructor(engine: DockerEngine, id: string, pid: number) {
    this.#engine = engine;
    this.#id = id;
    this.pid = pid;
  }

  /** @param image a Debian with {@linkcode SYSTEMD_PACKAGES} */
  static async start(engine: DockerEngine, image: string): Promise<SystemdContainer> {
    const [mounts, init] = existsSync(V1_HIERARCHY)
      ? [["--volume", `${V1_HIERARCHY}:${V1_HIERARCHY}:rw`], ["/sbin/init"]]
      : [[], ["sh", "-c", "mount -o remount,rw /sys/fs/cgroup && exec /sbin/init"]];
    const id = await engine.docker([
      ...["run", "--detach", "--network", "none"],
      // SYS_ADMIN for the units' mounts. SYS_PTRACE: systemd cannot look at its own children in a /proc
      // that hides processes (ProtectProc) without it, which every init has.
      ...["--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE"],
      ...["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"],
      ...["--cgroupns", "private", ...mounts],
      ...["--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"],
      ...[image, ...init],
    ]);
    const pid = await engine.docker(["inspect", "--format", "{{.State.Pid}}", id]);
    const container = new SystemdContainer(engine, id, Number(pid));
    try {
      await eventually(
        "systemd to run",
        async () =>
          (await container.try("systemctl is-system-running")).stdout.trim() === "running",
        { timeoutMs: START_TIMEOUT_MS, everyMs: 200 },
      );
      return container;
    } catch (error) {
      const { stdout } = await container.try("systemctl --failed; journalctl -b -n 20");
      await container[Symbol.asyncDispose]();
      throw withSeen(error, `:\n${stdout}`);
    }
  }

  /** Runs commands as root, up to the first that fails. */
  try(commands: string, folder = "/root"): Promise<DockerOutcome> {
    const args = ["exec", "--interactive", "--workdir", folder, this.#id, "bash", "-e"];
    return this.#engine.try(args, { input: { text: commands } });
  }

  /**
   * Runs commands as root.
   *
   * @returns what they printed, without the line end
   * @throws {Error} with what they said, and the end of the journal, when one fails
   */
  async run(commands: string, folder?: string): Promise<string> {
    const { code, stdout, stderr } = await this.try(commands, folder);
    if (code === 0) return stdout.trimEnd();
    const journal = (await this.try("journalctl --boot --lines 20 --output cat")).stdout;
    throw new Error(`${commands}\nended with ${code}:\n${stdout}${stderr}\nJournal:\n${journal}`);
  }

  /** Starts a command and does not wait for it. */
  start(command: string): LabProcess {
    const args = ["exec", this.#id, "bash", "-c", command];
    return new LabProcess("docker", { args, env: this.#engine.env });
  }

  /** A command of this machine's that has the container's network. */
  inNetwork(command: readonly string[]): string[] {
    return ["nsenter", `--net=/proc/${this.pid}/ns/net`, ...command];
  }

  /** Copies a file or folder of this machine into a folder of the container. */
  async copy(from: string, to: string): Promise<void> {
    await this.run(`mkdir -p ${to}`);
    await this.#engine.docker(["cp", "--follow-link", from, `${this.#id}:${to}`]);
  }

  /** What systemd says of a unit: `Result`, `MainPID`, ... */
  async property(unit: string, name: string): Promise<string> {
    return await this.run(`systemctl show --property ${name} --value ${unit}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine.docker(["rm", "--force", "--volumes", this.#id]);
  }
}
