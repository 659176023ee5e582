import { eventually, withSeen } from "../../testing/eventually.ts";
import { ROOT } from "../../testing/repository.ts";
import { LabProcess } from "../lab_process.ts";

/** How a command is run. */
export interface DockerOptions {
  /** Variables added to this process' environment. @default {{}} */
  env?: Record<string, string>;
  /** What the command reads: a file by its path, or text. @default {nothing} */
  input?: { file: string } | { text: string };
}

/** How a command has ended. */
export interface DockerOutcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Time a daemon has to start, in milliseconds; a second on a machine that does nothing else. */
const START_TIMEOUT_MS = 60_000;
/** Time a daemon has to end its containers and itself. */
const STOP_TIMEOUT_MS = 60_000;

/** Images with this label are the tests' own, and go when they are over. */
export const TEST_LABEL = "haproxy-grpc-agent.test";

/**
 * A Docker engine: the machine's own where one answers, else one that is started for the owner and goes
 * with it. Engines of several owners do not meet: each has its own folder, socket, bridge and addresses.
 */
export class DockerEngine implements AsyncDisposable {
  /** What `DOCKER_HOST` has to be for it. */
  readonly host: string;
  /**
   * The first two numbers of the addresses that networks of this engine may have, such as `10.150`; those
   * with a third number from 1 to 127 are free for networks whose addresses a test chooses itself.
   */
  readonly network: string;
  #keeper: LabProcess | undefined;

  private constructor(host: string, network: string, keeper?: LabProcess) {
    this.host = host;
    this.network = network;
    this.#keeper = keeper;
  }

  /** Gives the engine that answers to `docker` (`DOCKER_HOST`), or starts one. */
  static async find(): Promise<DockerEngine> {
    const { code, stdout } = await run("docker", [
      "context",
      "inspect",
      "--format",
      HOST_OF_CONTEXT,
    ]);
    const host = Deno.env.get("DOCKER_HOST") ?? (code === 0 ? stdout.trim() : DEFAULT_HOST);
    const engine = new DockerEngine(host, Deno.env.get(NETWORK_VARIABLE) ?? await freeNetwork());
    return await engine.#answers() ? engine : await DockerEngine.start();
  }

  /**
   * Starts an engine. It takes root and what {@linkcode dockerProblem} asks for.
   *
   * @throws {Error} with what the daemon said when it does not start
   */
  static async start(): Promise<DockerEngine> {
    const folder = await Deno.makeTempDir({ prefix: "docker-" });
    const network = await freeNetwork();
    // A network device's name has up to 15 characters.
    const name = `agent-${folder.slice(-8)}`;
    const keeper = new LabProcess("sh", {
      args: [`${ROOT}tests/lab/machine/docker/keep_docker_engine.sh`, folder, name, network],
    });
    const engine = new DockerEngine(`unix://${folder}/docker.sock`, network, keeper);
    try {
      await eventually("the Docker daemon to start", () => {
        if (!keeper.running) throw new Error("The Docker daemon ended at its start");
        return engine.#answers();
      }, { timeoutMs: START_TIMEOUT_MS, everyMs: 200 });
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      const said = keeper.stderr.lines.slice(-20).join("\n");
      throw withSeen(error, `; it said:\n${said}`);
    }
  }

  /** What `docker` and `docker-compose` need in their environment to talk to this engine. */
  get env(): Record<string, string> {
    return { DOCKER_HOST: this.host, [NETWORK_VARIABLE]: this.network };
  }

  /**
   * Runs `docker` with these arguments.
   *
   * @returns what it printed, without the line end
   * @throws {Error} with what it said when it fails
   */
  async docker(args: string[], options: DockerOptions = {}): Promise<string> {
    return expectSuccess(`docker ${args.join(" ")}`, await this.try(args, options));
  }

  /** Runs `docker` with these arguments, which may fail. */
  try(args: string[], options: DockerOptions = {}): Promise<DockerOutcome> {
    return run("docker", args, { ...options, env: { ...this.env, ...options.env } });
  }

  /**
   * Runs `docker-compose`, or `docker compose` where there is no such program.
   *
   * @returns what it printed, without the line end
   * @throws {Error} with what it said when it fails
   */
  async compose(args: string[], options: DockerOptions = {}): Promise<string> {
    const surroundings = { ...options, env: { ...this.env, ...options.env } };
    const outcome = has("docker-compose")
      ? await run("docker-compose", args, surroundings)
      : await run("docker", ["compose", ...args], surroundings);
    return expectSuccess(`docker-compose ${args.join(" ")}`, outcome);
  }

  /** Ends a daemon that was started here, and its containers. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keeper?.stop(STOP_TIMEOUT_MS);
  }

  async #answers(): Promise<boolean> {
    return (await this.try(["version", "--format", "{{.Server.Version}}"])).code === 0;
  }
}

/** Why no engine can be had, or a program beside it; undefined when all is there. */
export function dockerProblem(...morePrograms: (keyof typeof PACKAGES)[]): string | undefined {
  const own = Deno.env.has("DOCKER_HOST") ? [] : ["dockerd", "iptables"] as const;
  const missing = (["docker", "ip", ...own, ...morePrograms] as const).filter((program) =>
    !has(program)
  );
  if (missing.length > 0) {
    const packages = new Set(missing.map((program) => PACKAGES[program]));
    return `it takes Debian's ${[...packages].join(", ")} (no daemon has to run)`;
  }
  return Deno.uid() === 0 ? undefined : "it takes root";
}

/** Debian's packages by a program in them. */
const PACKAGES = {
  "docker": "docker.io",
  "dockerd": "docker.io",
  "iptables": "iptables",
  "ip": "iproute2",
  "debootstrap": "debootstrap",
  "docker-compose": "docker-compose",
} as const;

const DEFAULT_HOST = "unix:///var/run/docker.sock";
const HOST_OF_CONTEXT = "{{.Endpoints.docker.Host}}";
/** Tells the processes under the one that has started an engine which addresses it has. */
const NETWORK_VARIABLE = "DOCKER_ENGINE_NETWORK";

function has(program: string): boolean {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  return [...folders, "/usr/sbin"].some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

/** Gives the first two numbers of a network to which this machine has no route and no address. */
async function freeNetwork(): Promise<string> {
  const taken = await run("ip", ["-4", "route", "show", "table", "all"]);
  for (let attempt = 0; attempt < 100; attempt++) {
    const network = `10.${100 + Math.floor(Math.random() * 150)}`;
    if (!taken.stdout.includes(`${network}.`)) return network;
  }
  throw new Error("No free network found between 10.100 and 10.249");
}

async function run(
  program: string,
  args: string[],
  { env, input }: DockerOptions = {},
): Promise<DockerOutcome> {
  const child = new Deno.Command(program, {
    args,
    cwd: ROOT,
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...env && { env },
  }).spawn();
  const output = child.output();
  if (input !== undefined) {
    const source = "file" in input
      ? (await Deno.open(input.file)).readable
      : new Blob([input.text]).stream();
    // A command that ends early has its own words for why.
    await source.pipeTo(child.stdin).catch(() => {});
  }
  const { code, stdout, stderr } = await output;
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

function expectSuccess(command: string, { code, stdout, stderr }: DockerOutcome): string {
  if (code === 0) return stdout.trimEnd();
  throw new Error(`${command} ended with ${code}:\n${stdout}${stderr}`);
}
