import { succeeds, testThatNeeds } from "../testing/test_that_needs.ts";
import { LabProcess } from "./lab_process.ts";
import { type Hosts, namesProblem, withOwnNames } from "./own_names.ts";

/** How to start a process in a network of a test's own. */
export interface OwnNetwork {
  /** The wrapper for one that knows the machine's names. */
  wrapper: string[];
  /** The wrapper for one that knows the test's names. */
  withNames: string[];
}

/**
 * A test with a network of its own that has loopback and nothing else, so no packet leaves it, and with names
 * of its own (`own_names.ts`). See {@linkcode testThatNeeds} for machines where that cannot be had. The test
 * itself stays outside of the network.
 *
 * @param hosts addresses by name
 * @param setUp a shell command that is run in the network first
 */
export function testWithOwnNetwork(
  name: string,
  hosts: Hosts,
  setUp: string,
  test: (network: OwnNetwork) => Promise<void>,
): void {
  testThatNeeds({ missing: namesProblem() ?? networkProblem() }, name, async () => {
    await withOwnNames(hosts, async (names) => {
      // The network lives as long as a process in it.
      await using keeper = new LabProcess("unshare", {
        args: ["--net", "sh", "-c", `${LOOPBACK} && ${setUp} && echo ready && exec cat`],
      });
      await keeper.stdout.waitFor("the network", (line) => line === "ready" || undefined);
      const wrapper = ["nsenter", `--net=/proc/${keeper.pid}/ns/net`];
      await test({ wrapper, withNames: [...wrapper, ...names] });
    });
  });
}

const LOOPBACK = "ip link set lo up";

function networkProblem(): string | undefined {
  return succeeds("unshare", "--net", "sh", "-c", LOOPBACK)
    ? undefined
    : "it takes Debian's iproute2 and root to have a network of one's own";
}
