// Servers that HAProxy finds in DNS: A and SRV records of a real name server that change while HAProxy 3.0, 3.2
// and 3.4 run side by side. All that counts is what they have made of each address, and when.

import assert from "node:assert/strict";
import { startAgent } from "../../lab/agent/agent_process.ts";
import { startHealthBackend } from "../../lab/backends/libraries/health_backend.ts";
import { ExpectedServers } from "../../lab/haproxy/expected_servers.ts";
import type { Haproxy } from "../../lab/haproxy/haproxy.ts";
import {
  FALL,
  INTER_MS,
  placeDynamicExample,
  writeLoadedFiles,
} from "../../lab/haproxy/placed_examples.ts";
import { type SeenSpan, ServerWatch } from "../../lab/haproxy/server_watch.ts";
import { testSideBySide } from "../../lab/haproxy/test_with_haproxy.ts";
import { freePort } from "../../lab/machine/free_port.ts";
import { NAME_SERVER, NameServer } from "../../lab/machine/name_server.ts";
import { eventually } from "../../lab/testing/eventually.ts";
import { TempDirectory } from "../../lab/testing/temp_directory.ts";

/** Examples with the same servers, by A records, by SRV records, and by other ways of checking. */
const EXAMPLES = [
  "a-records.cfg",
  "srv-records.cfg",
  "one-connection.cfg",
  "healthcheck-section.cfg",
];

/** What the machine may add to the intervals of HAProxy and the time of its checks, in milliseconds. */
const ROOM_MS = 2000;

testSideBySide(
  "servers that appear, fail, recover, move and vanish in DNS are UP while they serve, and only then",
  [NAME_SERVER],
  async (start) => {
    const port = freePort();
    const at = (number: number) => `127.0.3.${number}:${port}`;
    const records = (...numbers: number[]) =>
      numbers.flatMap((number) => [
        `api A 127.0.3.${number}`,
        `server${number} A 127.0.3.${number}`,
        `_grpc._tcp.api SRV 0 1 ${port} server${number}`,
      ]);
    const backend = (number: number, status: "SERVING" | "NOT_SERVING" = "SERVING") =>
      startHealthBackend({ host: `127.0.3.${number}`, port, services: { "": status } });

    await using stack = new AsyncDisposableStack();
    const [agent, names, first, second, third, fourth] = await Promise.all([
      startAgent({ flags: ["--check-timeout", "800"] }),
      NameServer.start(records(7, 8)),
      backend(7),
      backend(8),
      backend(9, "NOT_SERVING"),
      backend(10),
    ]);
    for (const part of [agent, names, first, second, third, fourth]) stack.use(part);
    const directory = stack.use(await TempDirectory.create()).path;
    await writeLoadedFiles(directory);
    const place = {
      directory,
      agentPort: agent.port,
      metricsPort: agent.metricsPort,
      backendPort: port,
      nameServerPort: names.port,
    };
    const haproxies: [string, Haproxy, ServerWatch][] = [];
    for (const example of EXAMPLES) {
      const { configuration } = await placeDynamicExample(example, place);
      const started = await start(
        stack,
        (series) =>
          example === "healthcheck-section.cfg" && series !== "3.4"
            ? undefined
            : configuration().text,
      );
      for (const [series, haproxy] of started) {
        haproxies.push([
          `${series} ${example}`,
          haproxy,
          stack.use(new ServerWatch(haproxy, "api")),
        ]);
      }
    }
    /** Waits until each HAProxy has exactly these servers UP. */
    const up = async (what: string, ...numbers: number[]) => {
      const wanted = numbers.map(at).toSorted();
      for (const [name, haproxy] of haproxies) {
        let seen: string[] = [];
        await eventually(what, async () => {
          seen = (await haproxy.stats("api"))
            .filter((row) => row.up).map(({ fields }) => fields.addr ?? "").toSorted();
          return JSON.stringify(seen) === JSON.stringify(wanted);
        }, { timeoutMs: 30_000 }).catch((error) => {
          throw new Error(`${name}: ${error.message}; UP are ${seen}; its log:\n${haproxy.log()}`);
        });
      }
    };

    const servers = new ExpectedServers();
    await up("both to be UP", 7, 8);
    await servers.change([at(7), at(8)], "up");
    await servers.change([at(9)], "down", () => names.set(records(7, 8, 9)));
    await eventually("everybody to check the third", async () => {
      return (await third.report()).checks >= FALL;
    });
    await servers.change([at(8)], "down", () => second.setStatus("", "NOT_SERVING"));
    await up("the second to fail, and the third not to be taken in", 7);
    await servers.change([at(8)], "up", () => second.setStatus("", "SERVING"));
    const thirdServes = performance.now();
    await servers.change([at(9)], "up", () => third.setStatus("", "SERVING"));
    await up("the second to recover, and the third to be taken in", 7, 8, 9);

    await servers.change([at(8)], "down", () => second.kill());
    await up("the second, which is dead, to be DOWN", 7, 9);
    await servers.change([at(8)], "up", () => second.start());
    await up("the second, which is back, to be UP", 7, 8, 9);

    await servers.change([at(8), at(10)], "either", () => names.set(records(7, 9, 10)));
    await servers.change([at(8)], "down");
    await servers.change([at(10)], "up");
    await up("the second to have moved", 7, 9, 10);

    await servers.change([at(9)], "down", () => names.set(records(7, 10)));
    await up("the third to have vanished", 7, 10);

    for (const [name, haproxy, watch] of haproxies) {
      await watch.stop();
      const patienceMs = FALL * (INTER_MS + watch.longestCheckMs) + ROOM_MS;
      assert.deepEqual(
        { name, mistakes: servers.mistakes(watch.spans, patienceMs) },
        { name, mistakes: [] },
        haproxy.log(),
      );
      // init-state, which the examples have where HAProxy knows it.
      if (name.startsWith("3.0")) continue;
      const tooEarly = ({ address, up, from }: SeenSpan) =>
        address === at(9) && up && from < thirdServes;
      assert.deepEqual(watch.spans.filter(tooEarly), [], `${name}: UP before it served`);
    }
    await first.freeze();
    await up("the first, which is frozen, to be DOWN", 10);
    await first.thaw();
    await up("the first, which goes on, to be UP", 7, 10);
    assert.deepEqual(agent.faults(), []);
  },
);
