import assert from "node:assert/strict";
import { withAgent } from "../lab/agent/with_agent.ts";
import type { Peer } from "../lab/backends/peers/peer_server.ts";
import {
  goingAway,
  goingAwayGracefully,
  resettingSecond,
} from "../lab/backends/peers/polite_peers.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { ROOT } from "../lab/testing/repository.ts";

/** Checks of each peer. */
const CHECKS = Deno.env.has("CI") ? 500 : 300;

async function checkGoingAway(client: string, kinds: Peer[]): Promise<void> {
  await using peers = new AsyncDisposableStack();
  for (const peer of kinds) peers.use(peer);
  const flags = ["--grpc-client", client, "--log-level", "warn"];
  await withAgent({ flags }, async (agent) => {
    const asked = kinds.map(async (peer) => {
      using client = await agent.connect();
      const line = `127.0.0.1 ${peer.port} no-ssl backend.test\n`;
      for (let checks = 0; checks < CHECKS; checks++) {
        assert.equal(await client.ask(line), "up\n", `Check ${checks}`);
        // The GOAWAY should meet an idle connection as well as one that is asked again at once.
        if (checks % 2 === 0) await new Promise((resolve) => setTimeout(resolve, checks % 7));
      }
    });
    await Promise.all(asked);
    for (const peer of kinds) assert.ok(peer.connections > 40, `${peer.connections} connections`);
    for (const { port } of kinds) {
      await eventually(
        "no socket but that of a channel to stay",
        () => agent.socketsTo(port) <= 1,
        { timeoutMs: 10_000 },
      );
    }
  });
}

// https://github.com/denoland/deno/issues/36788: with grpc-js a GOAWAY on a connection without an open
// stream ends the process, within moments, unless the closing of the session is put off
// (src/grpc_js/workarounds.ts).
for (const client of ["native", "grpc-js"]) {
  Deno.test(`backends that say GOAWAY every few answers are always up, and the agent lives on (${client})`, async () => {
    const kinds = [goingAway(1), goingAway(3), goingAwayGracefully(1), goingAwayGracefully(5)];
    await checkGoingAway(client, kinds);
  });
}

Deno.test("The guard of workarounds.ts keeps a GOAWAY from ending the process, and is needed", async () => {
  await using peer = goingAway(3);
  const run = async (guarded: string) => {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-all",
        `${ROOT}tests/lab/clients/goaway_reproduction.ts`,
        `${peer.port}`,
        guarded,
      ],
    }).output();
    return { code, stderr: new TextDecoder().decode(stderr) };
  };
  const guarded = await run("guarded");
  assert.equal(guarded.code, 0, guarded.stderr);
  const { code } = await run("not guarded");
  // SIGABRT or SIGSEGV.
  assert.ok(
    code === 134 || code === 139,
    `It ended with ${code}: is src/grpc_js/workarounds.ts needed?`,
  );
});

Deno.test("a backend that serves one call a connection is up for all that ask at once", async () => {
  await using peer = goingAway(1);
  await withAgent({ flags: ["--reply-reason", "true"] }, async (agent) => {
    for (let round = 0; round < 20; round++) {
      const replies = await Promise.all(
        Array.from(
          { length: 10 },
          (_, index) => agent.ask(`127.0.0.1 ${peer.port} no-ssl backend.test service=s${index}\n`),
        ),
      );
      assert.deepEqual(
        replies.filter((reply) => reply !== "up #SERVING\n" && reply !== "up\n"),
        [],
      );
    }
  });
});

/** NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM. */
const RESET_CODES = [0, 1, 2, 7, 8, 11];

Deno.test("a call that is reset on a kept connection costs no down, whatever the code", async () => {
  for (const code of RESET_CODES) {
    await using peer = resettingSecond(code);
    await withAgent({}, async (agent) => {
      const line = `127.0.0.1 ${peer.port} no-ssl backend.test\n`;
      for (let check = 0; check < 5; check++) {
        assert.equal(await agent.ask(line), "up\n", `Code ${code}, check ${check}`);
      }
    });
  }
});
