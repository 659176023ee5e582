import { createSocket } from "node:dgram";

/** An address of the loopback network on which no name server is expected. */
const ADDRESS = "127.0.53.53";

/**
 * A test in which the agent's name server takes questions and never answers.
 *
 * The agent gets a mount namespace of its own with another /etc/resolv.conf, which takes root; without
 * it the test is ignored with the reason printed, and in CI (environment variable CI) it fails.
 *
 * @param test is given the wrapper with which to start the agent
 */
export function testWithSilentNameServer(
  name: string,
  test: (wrapper: string[]) => Promise<void>,
): void {
  const mayMount = new Deno.Command("unshare", { args: ["--mount", "true"] });
  const possible = succeeds(mayMount);
  const ignore = !possible && !Deno.env.has("CI");
  const reason = "it takes root to give the agent a resolv.conf of its own";
  if (ignore) console.warn(`Ignored: "${name}": ${reason}`);
  Deno.test({
    name,
    ignore,
    fn: async () => {
      if (!possible) throw new Error(reason);
      await withSilentNameServer(test);
    },
  });
}

function succeeds(command: Deno.Command): boolean {
  try {
    return command.outputSync().success;
  } catch {
    return false;
  }
}

async function withSilentNameServer(test: (wrapper: string[]) => Promise<void>): Promise<void> {
  const socket = createSocket("udp4");
  const resolvConf = await Deno.makeTempFile({ prefix: "resolv-" });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(53, ADDRESS, resolve);
    });
    await Deno.writeTextFile(resolvConf, `nameserver ${ADDRESS}\n`);
    const script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
    await test(["unshare", "--mount", "sh", "-c", script, resolvConf]);
  } finally {
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    await Deno.remove(resolvConf);
  }
}
