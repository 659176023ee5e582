import { createSocket } from "node:dgram";

/** An address of the loopback network on which no name server is expected. */
const NAME_SERVER = "127.0.53.53";

/** Addresses by name. */
type Hosts = Readonly<Record<string, readonly string[]>>;

type TestOfNames = (wrapper: string[], change: (hosts: Hosts) => Promise<void>) => Promise<void>;

/**
 * A test in which the agent knows names of the test's own; every other name it asks of a name server
 * that takes questions and never answers.
 *
 * The agent gets a mount namespace with another /etc/hosts and /etc/resolv.conf, which takes root;
 * without it the test is ignored with the reason printed, and in CI (environment variable CI) it fails.
 *
 * @param hosts addresses by name, in the order of preference
 * @param test is given the wrapper with which to start the agent, and a way to change the names
 */
export function testWithOwnNames(name: string, hosts: Hosts, test: TestOfNames): void {
  const possible = mayMount();
  const ignore = !possible && !Deno.env.has("CI");
  const reason = "it takes root to give the agent names of its own";
  if (ignore) console.warn(`Ignored: "${name}": ${reason}`);
  Deno.test({
    name,
    ignore,
    fn: async () => {
      if (!possible) throw new Error(reason);
      await withOwnNames(hosts, test);
    },
  });
}

function mayMount(): boolean {
  try {
    return new Deno.Command("unshare", { args: ["--mount", "true"] }).outputSync().success;
  } catch {
    return false;
  }
}

async function withOwnNames(hosts: Hosts, test: TestOfNames): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "names-" });
  const socket = createSocket("udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(53, NAME_SERVER, resolve);
    });
    await Deno.writeTextFile(`${directory}/resolv.conf`, `nameserver ${NAME_SERVER}\n`);
    // Written in place: what is mounted is the file, not its name.
    const change = (hosts: Hosts) => Deno.writeTextFile(`${directory}/hosts`, hostsFile(hosts));
    await change(hosts);
    const mounts = ["hosts", "resolv.conf"].map((file) => `mount --bind "$0/${file}" /etc/${file}`);
    const script = [...mounts, 'exec "$@"'].join(" && ");
    await test(["unshare", "--mount", "sh", "-c", script, directory], change);
  } finally {
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    await Deno.remove(directory, { recursive: true });
  }
}

function hostsFile(hosts: Hosts): string {
  return Object.entries({ localhost: ["127.0.0.1"], ...hosts })
    .flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}\n`))
    .join("");
}
