// Connections that are dead and do not say so: dropped by a middlebox without FIN or reset, kept by a server that
// is gone. And an agent that was stopped itself while answers came.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { withAgent } from "../../lab/agent/with_agent.ts";
import { FrameType } from "../../lab/backends/http2/frames.ts";
import { startHealthBackend } from "../../lab/backends/libraries/health_backend.ts";
import { testWithBackends } from "../../lab/backends/libraries/library_backends.ts";
import { CuttingProxy } from "../../lab/backends/peers/cutting_proxy.ts";
import { pass, PeerServer } from "../../lab/backends/peers/peer_server.ts";
import {
  ScriptedServer,
  type ScriptedServerOptions,
} from "../../lab/backends/peers/scripted_server.ts";
import { blackHole } from "../../lab/backends/peers/tcp_peers.ts";
import { CertificateAuthority } from "../../lab/backends/tls/certificates.ts";
import { testPlainAndTls } from "../../lab/backends/tls/test_plain_and_tls.ts";
import { freePort } from "../../lab/machine/free_port.ts";
import { openDoors } from "../../lab/machine/network_door.ts";
import { testWithOwnNetwork } from "../../lab/machine/own_network.ts";
import { eventually } from "../../lab/testing/eventually.ts";

/** HAProxy drops what comes later: its default agent-inter. */
const CONTRACT_MS = 2000;

testWithBackends(
  "a kept connection on which nothing comes back any more costs no down",
  async (start) => {
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issueServer("a.test");
    await using plain = await start();
    await using secure = await start({ tls });
    await withAgent({ flags: ["--tls-ca-file", authority.caFile] }, async (agent) => {
      const cases = [[plain, "no-ssl"], [secure, "ssl"]].flatMap(([backend, flag]) =>
        ["", " timeout=1200"].map((option) => ({ backend, flag, option }))
      );
      await Promise.all(cases.map(async ({ backend, flag, option }) => {
        assert.ok(typeof backend === "object");
        await using proxy = await CuttingProxy.start(backend.port);
        const first = `127.0.0.1 ${proxy.port} ${flag} a.test\n`;
        const line = first.replace("\n", `${option}\n`);
        for (let round = 0; round < 2; round++) {
          assert.equal(await agent.ask(first), "up\n", `${flag}${option}: a new connection`);
          proxy.cutKept(0, "silence");
          const { reply, ms } = await agent.askTimed(line);
          assert.equal(reply, "up\n", `${flag}${option}: the connection is dropped`);
          assert.ok(ms < CONTRACT_MS, `The answer took ${Math.round(ms)} ms`);
          assert.equal(await agent.ask(line), "up\n", `${flag}${option}: on the new one`);
          await eventually(
            "the silent one to be closed",
            () => proxy.connections - agent.socketsTo(proxy.port) > round,
          );
        }
      }));
    });
  },
);

testPlainAndTls(
  "a new connection whose first SYN is lost costs no down",
  async ({ ssl, flags, server }) => {
    await using backend = await ScriptedServer.start(server);
    await using relay = new PeerServer(async (connection) => {
      using onward = await Deno.connect({ port: backend.port });
      await Promise.race([pass(connection, onward), pass(onward, connection)]);
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      await using hole = await blackHole();
      const reply = agent.ask(
        `127.0.0.1 ${hole.port} ${ssl ? "ssl" : "no-ssl"} backend.test\n`,
      );
      await eventually("the first SYN", () => agent.socketsTo(hole.port) > 0);
      await hole.open(relay);
      assert.equal(await reply, "up\n");
      await eventually("the other attempts to end", () => agent.socketsTo(hole.port) === 1);
    });
  },
);

testWithBackends(
  "calls at once on a connection that falls silent after some bytes of an answer are all up",
  async (start) => {
    const names = ["a", "b", "c", "d", "e"];
    const services = Object.fromEntries(names.map((name) => [name, "SERVING" as const]));
    await using backend = await start({ services });
    await withAgent({ flags: ["--reply-reason", "true"] }, async (agent) => {
      await using proxy = await CuttingProxy.start(backend.port);
      const line = (name: string) => `127.0.0.1 ${proxy.port} no-ssl a.test service=${name}\n`;
      assert.match(await agent.ask(line("a")), /^up\b/);
      proxy.cutKept(10, "silence");
      const replies = await Promise.all(names.map((name) => agent.askTimed(line(name))));
      for (const { reply, ms } of replies) {
        assert.match(reply, /^up\b/);
        assert.ok(ms < CONTRACT_MS, `The answer took ${Math.round(ms)} ms`);
      }
    });
  },
);

/** The first connections answer no call from one on, and acknowledge no PING. */
function silentFrom(firstCall: number, connections: number): ScriptedServerOptions {
  return {
    acknowledges: ({ connection, type }) => type !== FrameType.PING || connection > connections,
    answer: async (call) => {
      const isSilent = call.connection.nth <= connections && call.nthOfConnection >= firstCall;
      if (!isSilent) await call.serve();
    },
  };
}

testPlainAndTls(
  "a new connection that never answers, and one or two that stop to, cost no down",
  async ({ flags, server }) => {
    const cases = [silentFrom(1, 1), silentFrom(2, 1), silentFrom(3, 2)];
    await withAgent({ flags: [...flags] }, async (agent) => {
      await Promise.all(cases.map(async (options, index) => {
        await using backend = await ScriptedServer.start({ ...server, ...options });
        for (let nth = 1; nth <= 5; nth++) {
          const { reply, ms } = await agent.askTimed(backend.line());
          assert.equal(reply, "up\n", `Case ${index}, check ${nth}`);
          assert.ok(ms < CONTRACT_MS, `Case ${index}, check ${nth} took ${Math.round(ms)} ms`);
        }
        assert.deepEqual(backend.violations, []);
      }));
    });
  },
);

/** Lets rules of the test come before the one that finds loopback. */
const RULES_FIRST = "ip rule add pref 100 lookup local && ip rule del pref 0";

testWithOwnNetwork(
  "a kept connection whose packets a middlebox drops both ways costs no down",
  {},
  RULES_FIRST,
  async ({ wrapper }) => {
    const ports = { port: freePort(), metricsPort: freePort() };
    await using _doors = await openDoors(wrapper, Object.values(ports));
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issueServer();
    await using plain = await startHealthBackend({}, wrapper);
    await using secure = await startHealthBackend({ tls }, wrapper);
    const flags = ["--tls-ca-file", authority.caFile];
    await withAgent({ ...ports, wrapper, flags }, async (agent) => {
      for (const backend of [plain, secure]) {
        assert.equal(await agent.ask(backend.line()), "up\n");
        for (const own of localPorts(agent.pid, backend.port)) {
          await run(wrapper, `ip rule add pref 50 ipproto tcp sport ${own} blackhole`);
          await run(wrapper, `ip rule add pref 51 ipproto tcp dport ${own} blackhole`);
        }
        const { reply, ms } = await agent.askTimed(backend.line());
        assert.equal(reply, "up\n", "The check that meets the dropped connection");
        assert.ok(ms < CONTRACT_MS, `The answer took ${Math.round(ms)} ms`);
        assert.equal(await agent.ask(backend.line()), "up\n", "The one after it");
        assert.ok((await backend.report()).connections > 1, "The rules dropped nothing");
      }
    });
  },
);

testPlainAndTls(
  "an agent that was stopped for two seconds while answers came says no down",
  async ({ flags, server }) => {
    const names = Array.from({ length: 20 }, (_, index) => `service.N${index}`);
    const continued = Promise.withResolvers<void>();
    let answered = 0;
    await using backend = await ScriptedServer.start({
      ...server,
      answer: async (call) => {
        if (call.service !== "") await continued.promise;
        await call.serve();
        answered++;
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      const replies = names.map((name) => agent.ask(backend.line({ option: `service=${name}` })));
      await eventually(
        "all calls to arrive",
        () => new Set(backend.calls.map(({ service }) => service)).size === 1 + names.length,
      );
      await agent.freeze();
      try {
        continued.resolve();
        await eventually("all answers to be sent", () => answered > names.length);
        await pause(CONTRACT_MS); // every deadline passes
      } finally {
        agent.signal("SIGCONT");
      }
      assert.deepEqual(new Set(await Promise.all(replies)), new Set(["up\n"]));
    });
  },
);

Deno.test(
  "a deadline that passes while the agent is stopped and nothing comes repeats the last answer, or says nothing",
  async () => {
    await using backend = await ScriptedServer.start({
      answer: async (call) => {
        if (call.nth === 1) await call.serve();
      },
    });
    await withAgent({ flags: ["--reply-reason", "true"] }, async (agent) => {
      const [known, unknown] = [backend.line(), backend.line({ option: "service=a.B" })];
      assert.match(await agent.ask(known), /^up\b/);
      const replies = [known, unknown].map((line) => agent.ask(line));
      await eventually("both calls to arrive", () => backend.calls.length >= 3);
      await agent.freeze();
      try {
        await pause(CONTRACT_MS + 1000); // far beyond the deadline
      } finally {
        agent.signal("SIGCONT");
      }
      const [repeated = "", none] = await Promise.all(replies);
      assert.match(repeated, /^up\b/);
      assert.equal(none, "");
    });
  },
);

/** The local ports of a process' network that lead to another port. */
function localPorts(pid: number, to: number): number[] {
  const remote = `:${to.toString(16).toUpperCase().padStart(4, "0")}`;
  return Deno.readTextFileSync(`/proc/${pid}/net/tcp`).split("\n")
    .map((row) => row.trim().split(/\s+/))
    .filter((fields) => fields[2]?.endsWith(remote) && fields[3] === "01")
    .map((fields) => parseInt(fields[1]?.split(":")[1] ?? "", 16));
}

async function run(wrapper: readonly string[], command: string): Promise<void> {
  const [program = "", ...args] = [...wrapper, "sh", "-c", command];
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}
