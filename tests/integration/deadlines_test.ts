import assert from "node:assert/strict";
import { type AgentProcess, SHORT_DEADLINES } from "../lab/agent/agent_process.ts";
import { type Counted, counting, withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { type StartBackend, testWithBackends } from "../lab/backends/libraries/library_backends.ts";
import {
  CONNECTION_FAULTS,
  type Fault,
  HTTP2_FAULTS,
  type Outcome,
} from "../lab/backends/peers/faulty_peers.ts";
import { Front, wayTo } from "../lab/backends/peers/front.ts";
import type { PeerServer } from "../lab/backends/peers/peer_server.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { eventually } from "../lab/testing/eventually.ts";

/** HAProxy drops what comes later: its default agent-inter. */
const CONTRACT_MS = 2000;

/** Asks, and gives how the check counted; the answer must fit and come in time. */
async function outcomeOf(agent: AgentProcess, line: string): Promise<Outcome> {
  let reply = "";
  const counted = await counting(agent, 1, async () => {
    const answer = await agent.askTimed(line);
    reply = answer.reply;
    assert.ok(answer.ms < CONTRACT_MS, `The answer took ${Math.round(answer.ms)} ms`);
  });
  const outcome = onlyOutcome(counted);
  assert.equal(reply, outcome === "up" ? "up\n" : "down\n");
  return outcome;
}

function onlyOutcome(counted: Counted): Outcome {
  const { error, ...others } = counted;
  const kinds = Object.keys(others);
  assert.equal(kinds.length, 1, `Counted as ${JSON.stringify(counted)}`);
  assert.equal(error ?? 1, 1);
  return kinds[0] as Outcome;
}

/** Asks twice: the first check must not spoil the second. */
async function assertOutcomes(agent: AgentProcess, line: string, expected: Outcome) {
  for (const time of ["first", "second"]) {
    assert.equal(await outcomeOf(agent, line), expected, `The ${time} check`);
  }
}

/**
 * At an address where a healthy backend was before and is again after.
 *
 * @param kept connections to a peer that may outlive its checks; what an agent does not close of its own
 * accord shows only while the peer lives
 */
function testFaults(name: string, faults: Fault[], kept: number) {
  Deno.test(name, async (t) => {
    await using authority = await CertificateAuthority.create();
    const certificate = await authority.issueServer();
    await using plain = await startHealthBackend();
    await using secure = await startHealthBackend({ tls: certificate });
    await withAgent({ flags: ["--tls-ca-file", authority.caFile] }, async (agent) => {
      assert.equal(await agent.ask(plain.line()), "up\n");
      for (const fault of faults) {
        await t.step(`a backend that ${fault.name}: ${fault.outcome}`, async () => {
          const healthy = () => wayTo((fault.ssl ? secure : plain).port);
          await using front = new Front(healthy());
          const line = `127.0.0.1 ${front.port} ${fault.ssl ? "ssl" : "no-ssl"} backend.test\n`;
          assert.equal(await agent.ask(line), "up\n", "The healthy one before it");
          const heal = await befall(front, fault, healthy);
          // A check that finds the old connection lost is another test's.
          await socketsToClose(agent, front.port, 0);
          await assertOutcomes(agent, line, fault.outcome);
          assert.equal(await agent.ask(plain.line()), "up\n", "Another one beside it");
          await socketsToClose(agent, front.port, kept);
          // Once more, so that a back-off would not be over when it is well again.
          assert.equal(await outcomeOf(agent, line), fault.outcome, "The third check");
          await heal();
          assert.equal(await agent.ask(line), "up\n", "The first check after it");
        });
      }
    });
  });
}

/** @returns lets the healthy one answer again, when the fault was met */
async function befall(
  front: Front,
  fault: Fault,
  healthy: () => PeerServer,
): Promise<() => Promise<void>> {
  if (fault.ofAddress) {
    await front.vacate(fault.start);
    return () => front.reopen(healthy());
  }
  const peer = fault.start();
  await front.lead(peer);
  return async () => {
    assert.ok(peer.connections > 0, "Nobody was connected to it");
    await front.lead(healthy());
  };
}

async function socketsToClose(agent: AgentProcess, port: number, atMost: number): Promise<void> {
  const areClosed = () => agent.socketsTo(port) <= atMost;
  await eventually(`at most ${atMost} sockets to it`, areClosed, { timeoutMs: 10_000 });
}

testFaults(
  "a backend that fails before HTTP/2 is answered within two seconds, harms no other, and is up again at once",
  CONNECTION_FAULTS,
  0,
);

testFaults(
  "a backend that fails in HTTP/2 or gRPC is answered within two seconds, harms no other, and is up again at once",
  HTTP2_FAULTS,
  1,
);

/** C core and Go are waited for with short deadlines; grpc-js has the default ones. */
function deadlinesFor(start: StartBackend): string[] {
  return start === startHealthBackend ? [] : [...SHORT_DEADLINES];
}

testWithBackends(
  "a frozen backend is down within two seconds and up again when it thaws",
  async (start) => {
    await using backend = await start();
    await withAgent({ flags: deadlinesFor(start) }, async (agent) => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      await backend.freeze();
      await assertOutcomes(agent, backend.line(), "timeout");
      await socketsToClose(agent, backend.port, 0);
      await backend.thaw();
      assert.equal(await agent.ask(backend.line()), "up\n");
    });
  },
);

testWithBackends(
  "a backend that is frozen before its first check is down within two seconds",
  async (start) => {
    await using backend = await start();
    await withAgent({ flags: deadlinesFor(start) }, async (agent) => {
      await backend.freeze();
      await assertOutcomes(agent, backend.line(), "timeout");
      await backend.thaw();
      assert.equal(await agent.ask(backend.line()), "up\n");
    });
  },
);

testWithBackends(
  "a backend that answers after the deadline is down within two seconds, then up",
  async (start) => {
    await using backend = await start({ delayMs: 3000 });
    await withAgent({ flags: deadlinesFor(start) }, async (agent) => {
      await assertOutcomes(agent, backend.line(), "timeout");
      await backend.setDelay(300);
      assert.equal(await agent.ask(backend.line()), "up\n");
    });
  },
);

testWithBackends(
  "a frozen backend with TLS is down within two seconds, connected or not",
  async (start) => {
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issueServer();
    await using backend = await start({ tls });
    const flags = [...deadlinesFor(start), "--tls-ca-file", authority.caFile];
    await withAgent({ flags }, async (agent) => {
      await backend.freeze();
      await assertOutcomes(agent, backend.line(), "timeout");
      await backend.thaw();
      assert.equal(await agent.ask(backend.line()), "up\n");
      await backend.freeze();
      await assertOutcomes(agent, backend.line(), "timeout");
      await backend.thaw();
      assert.equal(await agent.ask(backend.line()), "up\n");
    });
  },
);

Deno.test("a backend that was refused is up at the first check after its start", async () => {
  await using backend = await startHealthBackend();
  await withAgent({}, async (agent) => {
    for (let round = 0; round < 5; round++) {
      await backend.kill();
      for (let check = 0; check < 5; check++) {
        assert.equal(await outcomeOf(agent, backend.line()), "backend_unreachable");
      }
      await backend.start();
      assert.equal(await agent.ask(backend.line()), "up\n");
    }
  });
});

Deno.test("the configured time limits hold in their phase", async (t) => {
  const flags = ["--grpc-connect-timeout", "300", "--grpc-rpc-timeout", "600"];
  await using slow = await startHealthBackend({ delayMs: 400 });
  const silent = HTTP2_FAULTS.find((fault) => fault.outcome === "timeout");
  assert.ok(silent);
  await using peer = await silent.start();
  await withAgent({ flags: [...flags, "--check-timeout", "1500"] }, async (agent) => {
    await t.step("an answer later than the connect timeout, within that of the RPC", async () => {
      assert.equal(await outcomeOf(agent, slow.line()), "up");
    });
    await t.step("no answer within the RPC timeout", async () => {
      const { reply, ms } = await agent.askTimed(`127.0.0.1 ${peer.port} no-ssl backend.test\n`);
      assert.equal(reply, "down\n");
      assert.ok(ms >= 590 && ms < 1500, `The answer came after ${Math.round(ms)} ms`);
    });
  });
  await withAgent({ flags: ["--check-timeout", "200"] }, async (agent) => {
    await t.step("the deadline of the whole check is the stronger one", async () => {
      assert.equal(await outcomeOf(agent, slow.line()), "timeout");
    });
  });
});

Deno.test("the deadline of one request does not end the RPC that it shares with another", async () => {
  await using backend = await startHealthBackend({ delayMs: 600 });
  await withAgent({ flags: ["--reply-reason", "true"] }, async (agent) => {
    const patient = agent.ask(backend.line());
    const hasty = agent.ask(backend.line().replace("\n", " timeout=200\n"));
    assert.match(await hasty, /^down #timeout: .*200 ms\n$/);
    assert.match(await patient, /^up\b/);
    assert.equal((await backend.report()).calls, 1);
  });
});
