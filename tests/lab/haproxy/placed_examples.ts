import { freePort } from "../machine/free_port.ts";
import { ROOT } from "../testing/repository.ts";

/** Where the examples are. */
export const EXAMPLES = `${ROOT}deploy/haproxy/`;

/** One of deploy/haproxy on this machine: its own text, but for addresses, ports and paths. */
export interface PlacedExample {
  /** The whole of HAProxy's configuration. */
  readonly configuration: string;
  /** The settings of the agent that its first comment shows, as TOML. */
  readonly agentSettings: string;
  /** The commands for HAProxy's runtime API that its first comment shows, in their order. */
  readonly runtimeCommands: readonly string[];
  /** The port of each gRPC server. */
  readonly backendPort: number;
  /** The port on which HAProxy takes calls. */
  readonly frontendPort: number;
}

/**
 * Reads an example and puts it in its place: servers 10.0.3.N become 127.0.3.N.
 *
 * @param name the file's, in deploy/haproxy
 * @param directory takes the place of HAProxy's and the agent's folders
 */
export async function placeExample(
  name: string,
  directory: string,
  agentPort: number,
): Promise<PlacedExample> {
  const [backendPort, frontendPort] = [freePort(), freePort()];
  const configuration = (await Deno.readTextFile(EXAMPLES + name))
    .replaceAll("10.0.3.", "127.0.3.")
    .replaceAll("50051", `${backendPort}`)
    .replaceAll("agent-port 5555", `agent-port ${agentPort}`)
    .replace(/bind :\d+/, `bind 127.0.0.1:${frontendPort}`)
    .replaceAll(/\/(?:etc|run)\/haproxy(?:-grpc-agent)?(?=\/)/g, directory);
  const [comment = ""] = configuration.split("\n\nglobal\n");
  return { configuration, ...await shownIn(comment), backendPort, frontendPort };
}

/** What the first comment of an example shows. */
async function shownIn(
  comment: string,
): Promise<{ agentSettings: string; runtimeCommands: string[] }> {
  const shown = [...comment.matchAll(/^#(?: {3}(.*))?$/gm)].map(([, line = ""]) => line);
  return {
    agentSettings: shown.filter((line) => !line.startsWith("echo ")).join("\n"),
    runtimeCommands: await Promise.all(shown.flatMap((line) => {
      const [, echo] = /^(echo .*) \| socat - \S+$/.exec(line) ?? [];
      return echo === undefined ? [] : [echoed(echo)];
    })),
  };
}

/** What a shell makes of an `echo` command. */
async function echoed(command: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", command] }).output();
  return new TextDecoder().decode(stdout).trimEnd();
}

/** Where the examples for servers that come and go are. */
export const DYNAMIC_EXAMPLES = `${ROOT}deploy/haproxy/dynamic/`;

/** Milliseconds between two checks of a server, in place of the examples' 2 s. */
export const INTER_MS = 300;

/** Failed checks in a row that take a server down in every example. */
export const FALL = 3;

/** Where the parts of an example are on this machine. */
export interface Place {
  /** Takes the place of the folders of HAProxy and of the agent. */
  directory?: string;
  agentPort: number;
  /** Of the agent's metrics; needed for examples that look at them. */
  metricsPort?: number;
  /** Of every gRPC server; needed for examples that have port 50051. */
  backendPort?: number;
  /** Of the name server; needed for examples that have one. */
  nameServerPort?: number;
  /** HAProxy's time for a check: a busy machine needs more than so short an interval leaves. @default {"5s"} */
  checkTimeout?: string;
  /** What else is replaced, first of all. */
  replace?: Readonly<Record<string, string>>;
}

/** An example as it stands, but for addresses, ports, paths and intervals. */
export interface DynamicExample {
  /** HAProxy's configuration, for an HAProxy of its own each time: it takes calls at a port of its own. */
  configuration(): { text: string; frontendPort: number };
  /** The agent's settings in the first comment, as TOML. */
  readonly agentSettings: string;
  /** The commands for the runtime API in the first comment, in their order. */
  readonly runtimeCommands: readonly string[];
}

/** Reads an example and puts it in its place: servers 10.0.3.N become 127.0.3.N. */
export async function placeDynamicExample(name: string, place: Place): Promise<DynamicExample> {
  const { directory = "/nowhere", agentPort, backendPort = 50051, nameServerPort = 53 } = place;
  const { checkTimeout = "5s", replace = {} } = place;
  let text = await Deno.readTextFile(DYNAMIC_EXAMPLES + name);
  for (const [old, own] of Object.entries(replace)) text = text.replaceAll(old, own);
  text = text
    .replaceAll(/\b10\.0\.([13])\./g, "127.0.$1.")
    .replaceAll("2001:db8:3::/48", "::1/128")
    .replaceAll("10.0.0.53:53", `127.0.0.1:${nameServerPort}`)
    .replaceAll("50051", `${backendPort}`)
    .replaceAll(/port 5555\b/g, `port ${agentPort}`)
    .replaceAll("127.0.0.1:9090", `127.0.0.1:${place.metricsPort ?? 9090}`)
    .replaceAll("inter 2s", `inter ${INTER_MS}ms`)
    .replaceAll(/timeout (resolve|retry) 1s/g, "timeout $1 200ms")
    .replace("  timeout server 5m\n", `  timeout server 5m\n  timeout check ${checkTimeout}\n`)
    .replaceAll(/\/etc\/haproxy(?:-grpc-agent)?(?=\/)/g, directory)
    // The laboratory's HAProxy brings a socket of its own.
    .replace(/^ {2}stats socket .*\n/m, "");
  const [comment = "", rest = ""] = text.split("\n\nglobal\n");
  const shown = await shownIn(comment);
  return {
    configuration: () => {
      const frontendPort = freePort();
      const own = `global\n${rest}`.replace(/bind :\d+/, `bind 127.0.0.1:${frontendPort}`);
      return { text: own, frontendPort };
    },
    ...shown,
  };
}

/** Puts what examples load beside their configuration into the folder that takes the place of HAProxy's. */
export async function writeLoadedFiles(directory: string): Promise<void> {
  const script = "server-addresses.lua";
  await Deno.copyFile(DYNAMIC_EXAMPLES + script, `${directory}/${script}`);
  await Deno.writeTextFile(`${directory}/server-addresses.map`, "");
}
