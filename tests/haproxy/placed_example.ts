import { freePort } from "../lab/machine/free_port.ts";
import { ROOT } from "../lab/machine/lab_process.ts";

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
  const shown = [...comment.matchAll(/^#(?: {3}(.*))?$/gm)].map(([, line = ""]) => line);
  return {
    configuration,
    agentSettings: shown.filter((line) => !line.startsWith("echo ")).join("\n"),
    runtimeCommands: await Promise.all(shown.flatMap((line) => {
      const [, echo] = /^(echo .*) \| socat - \S+$/.exec(line) ?? [];
      return echo === undefined ? [] : [echoed(echo)];
    })),
    backendPort,
    frontendPort,
  };
}

/** What a shell makes of an `echo` command. */
async function echoed(command: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", command] }).output();
  return new TextDecoder().decode(stdout).trimEnd();
}
