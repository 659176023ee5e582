// A thousand targets at the same time: what the agent itself takes to ask them is never said of a backend.

import assert from "node:assert/strict";
import type { AgentProcess } from "../../lab/agent/agent_process.ts";
import { withAgent } from "../../lab/agent/with_agent.ts";
import { startGoBackend, testWithGo } from "../../lab/backends/libraries/library_backends.ts";
import { blackHole } from "../../lab/backends/peers/tcp_peers.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import type { LineClient } from "../../lab/clients/line_client.ts";
import { freePort } from "../../lab/machine/free_port.ts";

/**
 * HAProxy drops what comes later than its agent-inter, 2 s by default. As much again is for this process, which
 * asks a thousand lines at once on the same cores.
 */
const CONTRACT_MS = 4000;

/** How often healthy and dead targets are asked. */
const ROUNDS = 3;

/** Addresses of the loopback network, each a target of its own; all lead to who listens on 0.0.0.0. */
function addresses(count: number, network: number): string[] {
  return Array.from(
    { length: count },
    (_, index) => `127.${network}.${Math.floor(index / 250)}.${index % 250 + 1}`,
  );
}

/** Connections to the agent, as a HAProxy with so many servers has them; made before they are needed. */
class Clients implements AsyncDisposable {
  #clients: LineClient[];

  private constructor(clients: LineClient[]) {
    this.#clients = clients;
  }

  static async connect(agent: AgentProcess, count: number): Promise<Clients> {
    return new Clients(await Promise.all(Array.from({ length: count }, () => agent.connect())));
  }

  /** Sends a line on each connection, all at once. @returns how many gave each answer; late ones by name */
  async ask(lines: readonly string[]): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    await Promise.all(lines.map(async (line, index) => {
      const start = performance.now();
      const reply = await this.#clients[index]?.ask(line) ?? "";
      const late = performance.now() - start > CONTRACT_MS ? "late " : "";
      const key = late + (reply.trimEnd() || "nothing");
      counts[key] = (counts[key] ?? 0) + 1;
    }));
    return counts;
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    return Promise.resolve();
  }
}

testWithGo(
  "a thousand targets at once are all up, cold and right after each of two reloads that change nothing",
  async () => {
    await using backend = await startGoBackend({ host: "0.0.0.0" });
    const lines = addresses(1000, 1).map((host) => `${host} ${backend.port} no-ssl backend.test\n`);
    await withAgent({ flags: ["--log-checks", "none"] }, async (agent) => {
      await using clients = await Clients.connect(agent, lines.length);
      assert.deepEqual(await clients.ask(lines), { up: 1000 }, "Cold");
      for (const nth of [1, 2]) {
        await agent.reload();
        assert.deepEqual(await clients.ask(lines), { up: 1000 }, `After reload ${nth}`);
      }
    });
  },
);

testWithGo(
  "two hundred targets over TLS at once are all up, cold and right after each of two reloads that change nothing",
  async () => {
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issueServer();
    await using backend = await startGoBackend({ host: "0.0.0.0", tls });
    const lines = addresses(200, 2).map((host) => `${host} ${backend.port} ssl backend.test\n`);
    const flags = ["--log-checks", "none", "--tls-ca-file", authority.caFile];
    await withAgent({ flags }, async (agent) => {
      await using clients = await Clients.connect(agent, lines.length);
      assert.deepEqual(await clients.ask(lines), { up: 200 }, "Cold");
      for (const nth of [1, 2]) {
        await agent.reload();
        assert.deepEqual(await clients.ask(lines), { up: 200 }, `After reload ${nth}`);
      }
    });
  },
);

for (const ssl of [false, true]) {
  const how = ssl ? "TLS" : "plain";
  testWithGo(
    `a hundred healthy targets among a thousand black-holed ones are up, and those down, again and again: ${how}`,
    async () => {
      await using authority = await CertificateAuthority.create();
      const tls = await authority.issueServer();
      await using backend = await startGoBackend({ host: "0.0.0.0", ...ssl ? { tls } : {} });
      await using hole = await blackHole(freePort(), "0.0.0.0");
      const flag = `${ssl ? "ssl" : "no-ssl"} backend.test\n`;
      const dead = addresses(1000, 3).map((host) => `${host} ${hole.port} ${flag}`);
      const healthy = addresses(100, 4).map((host) => `${host} ${backend.port} ${flag}`);
      // One healthy one after ten dead ones.
      const lines = healthy.flatMap((line, index) => [
        ...dead.slice(index * 10, (index + 1) * 10),
        line,
      ]);
      const flags = ["--log-checks", "none", "--tls-ca-file", authority.caFile];
      await withAgent({ flags }, async (agent) => {
        await using clients = await Clients.connect(agent, lines.length);
        for (let round = 1; round <= ROUNDS; round++) {
          assert.deepEqual(await clients.ask(lines), { up: 100, down: 1000 }, `Round ${round}`);
        }
      });
    },
  );
}
