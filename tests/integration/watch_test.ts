import assert from "node:assert/strict";
import { type AgentProcess, startAgent } from "../lab/agent.ts";
import { CertificateAuthority } from "../lab/certificates.ts";
import { eventually, within } from "../lab/eventually.ts";
import { STREAM_FAULTS, withStreamFault } from "../lab/faulty_peers.ts";
import {
  type HealthBackend,
  type HealthBackendOptions,
  startHealthBackend,
  untilReply,
} from "../lab/health_backend.ts";
import { startPythonBackend, testWithPython } from "../lab/python_backend.ts";
import { resetAfter } from "../lab/reset_after.ts";
import { runAgent } from "../lab/run_agent.ts";
import { type StartBackend, testWithBackends } from "../lab/test_with_backends.ts";
import { counting, withAgent } from "../lab/with_agent.ts";

/** Longer than any test: within it, no Check is due. */
const NO_VERIFY = ["--watch-verify", "600000"];
const VERIFY_MS = 300;
/** shutdown_timeout_ms by default. */
const SHUTDOWN_MS = 2500;
/** A closed connection's socket is destroyed after so long. */
const GOODBYE_MS = 1000;
const VERIFY_SOON = ["--watch-verify", `${VERIFY_MS}`];

const flags = (...more: string[]) => ["--check-mode", "watch", "--log-level", "warn", ...more];

/** Asks until the answer comes from a stream: without a Check. */
async function untilWatched(agent: AgentProcess, backend: HealthBackend, line = backend.line()) {
  await eventually("an answer from a stream", async () => {
    const { checks } = await backend.report();
    assert.equal(await agent.ask(line), "up\n");
    return (await backend.report()).checks === checks;
  });
}

function untilStreams(
  backend: HealthBackend,
  streams: number,
  timeoutMs = 5000,
): Promise<unknown> {
  return eventually(
    `${streams} open streams`,
    async () => (await backend.report()).streams === streams,
    { timeoutMs },
  );
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

testWithBackends("a watched backend is asked once, then answered without an RPC", async (start) => {
  await using backend = await start();
  await withAgent({ flags: flags(...NO_VERIFY) }, async (agent) => {
    assert.equal(await agent.ask(backend.line()), "up\n");
    await untilWatched(agent, backend);
    const { calls } = await backend.report();
    const counted = await counting(agent, 200, async () => {
      for (let check = 0; check < 200; check++) {
        assert.equal(await agent.ask(backend.line()), "up\n");
      }
    });
    assert.deepEqual(counted, { up: 200 });
    const report = await backend.report();
    assert.deepEqual([report.calls, report.streams, report.connections], [calls, 1, 1]);
  });
});

testWithBackends(
  "a change of a watched backend is answered at once, without an RPC",
  async (start) => {
    await using backend = await start({ services: { "": "SERVING", "other.Service": "SERVING" } });
    await withAgent({ flags: flags(...NO_VERIFY) }, async (agent) => {
      const other = backend.line({ service: "other.Service" });
      await untilWatched(agent, backend);
      await untilWatched(agent, backend, other);
      const { checks } = await backend.report();
      for (let change = 0; change < 20; change++) {
        await backend.setStatus("", "NOT_SERVING");
        await untilReply(() => agent.ask(backend.line()), "down\n", 1000);
        assert.equal(await agent.ask(other), "up\n");
        await backend.setStatus("", "SERVING");
        await untilReply(() => agent.ask(backend.line()), "up\n", 1000);
      }
      assert.equal((await backend.report()).checks, checks);
    });
  },
);

testWithBackends("the last of many quick changes is what is answered", async (start) => {
  await using backend = await start();
  await withAgent({ flags: flags(...NO_VERIFY) }, async (agent) => {
    await untilWatched(agent, backend);
    for (let change = 0; change < 50; change++) {
      const status = change % 2 === 0 ? "SERVING" : "NOT_SERVING";
      await backend.setStatus("", status);
    }
    await untilReply(() => agent.ask(backend.line()), "down\n", 1000);
    for (let check = 0; check < 50; check++) {
      assert.equal(await agent.ask(backend.line()), "down\n");
    }
  });
});

testWithBackends("a sign of life is good for watch_verify_ms, then one Check is", async (start) => {
  await using backend = await start();
  await withAgent({ flags: flags(...VERIFY_SOON) }, async (agent) => {
    await untilWatched(agent, backend);
    const { checks } = await backend.report();
    const begin = performance.now();
    let asked = 0;
    for (; performance.now() - begin < 10 * VERIFY_MS; asked++) {
      assert.equal(await agent.ask(backend.line()), "up\n");
    }
    const grown = (await backend.report()).checks - checks;
    const due = (performance.now() - begin) / VERIFY_MS;
    assert.ok(grown >= 5 && grown <= due + 1, `${grown} Checks, ${due} were due`);
    assert.ok(asked > 5 * grown, `${asked} questions`);
  });
});

testWithBackends(
  "a frozen backend is down after watch_verify_ms, up when it thaws",
  async (start) => {
    await using backend = await start();
    const quick = ["--grpc-connect-timeout", "300", "--grpc-rpc-timeout", "400"];
    await withAgent({ flags: flags(...quick, "--watch-verify", "1000") }, async (agent) => {
      for (let freeze = 0; freeze < 3; freeze++) {
        await untilWatched(agent, backend);
        backend.freeze();
        const frozen = performance.now();
        await untilReply(() => agent.ask(backend.line()), "down\n", 3000);
        assert.ok(performance.now() - frozen >= 400, "No Check was made");
        assert.equal(await agent.ask(backend.line()), "down\n");
        backend.thaw();
        assert.equal(await agent.ask(backend.line()), "up\n");
      }
      await eventually(
        "the connections of the freezes to be closed",
        () => agent.socketsTo(backend.port) === 1,
      );
    });
  },
);

testWithBackends(
  "a watched backend that dies is down at once, and up when it is back",
  async (start) => {
    await using backend = await start();
    await withAgent({ flags: flags(...NO_VERIFY) }, async (agent) => {
      for (let death = 0; death < 5; death++) {
        await untilWatched(agent, backend);
        if (death % 2 === 0) await backend.kill();
        else await backend.close();
        await untilReply(() => agent.ask(backend.line()), "down\n", 1000);
        assert.equal(await agent.ask(backend.line()), "down\n");
        await backend.start();
        assert.equal(await agent.ask(backend.line()), "up\n");
      }
    });
  },
);

testWithBackends(
  "a backend without Watch is checked, and not asked for it again on a connection",
  async (start) => {
    await using backend = await start({ withoutWatch: true });
    await withAgent({ flags: flags(...NO_VERIFY) }, async (agent) => {
      for (let check = 0; check < 20; check++) {
        assert.equal(await agent.ask(backend.line()), "up\n");
      }
      await backend.setStatus("", "NOT_SERVING");
      assert.equal(await agent.ask(backend.line()), "down\n");
      // Of another word than SERVING a new connection is asked as well, and for Watch on it once.
      await eventually("the last call", async () => (await backend.report()).calls === 24);
      assert.equal(await agent.ask(backend.line()), "down\n");
      const { calls, checks, connections } = await backend.report();
      assert.deepEqual({ calls, checks, connections }, { calls: 25, checks: 23, connections: 2 });
    });
  },
);

Deno.test("a stream that the backend ends is no answer any more, and is opened again", async () => {
  await using backend = await startHealthBackend();
  await withAgent({ flags: flags(...NO_VERIFY) }, async (agent) => {
    await untilWatched(agent, backend);
    const { checks } = await backend.report();
    await backend.endStreams();
    await eventually("a Check in place of the stream", async () => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      return (await backend.report()).checks > checks;
    });
    await untilWatched(agent, backend);
    const { streams, connections } = await backend.report();
    assert.deepEqual({ streams, connections }, { streams: 1, connections: 1 });
  });
});

testWithBackends(
  "a service that the backend does not know is checked and not watched",
  async (start) => {
    await using backend = await start();
    await withAgent({ flags: flags(...NO_VERIFY) }, async (agent) => {
      const line = backend.line({ service: "late.Service" });
      const counted = await counting(agent, 5, async () => {
        for (let check = 0; check < 5; check++) assert.equal(await agent.ask(line), "down\n");
      });
      assert.deepEqual(counted, { error: 5, rpc: 5 });
      assert.equal((await backend.report()).calls, 5);
      await backend.setStatus("late.Service", "SERVING");
      assert.equal(await agent.ask(line), "up\n");
      await untilWatched(agent, backend, line);
      // As if it were taken off the server: Watch says SERVICE_UNKNOWN or fails, Check NOT_FOUND.
      await backend.setError("late.Service", 5);
      await untilReply(() => agent.ask(line), "down\n", 1000);
      assert.deepEqual(await counting(agent, 1, async () => void await agent.ask(line)), {
        error: 1,
        rpc: 1,
      });
      await backend.setStatus("late.Service", "SERVING");
      await untilReply(() => agent.ask(line), "up\n", 1000);
    });
  },
);

Deno.test("a service that nobody asks about loses its stream, and then the backend its channel", async () => {
  await using backend = await startHealthBackend({ services: { "": "SERVING", "a.B": "SERVING" } });
  const idle = ["--channel-idle-timeout", "1000"];
  await withAgent({ flags: flags(...idle, ...VERIFY_SOON) }, async (agent) => {
    assert.equal(await agent.ask(backend.line({ service: "a.B" })), "up\n");
    assert.equal(await agent.ask(backend.line()), "up\n");
    await untilStreams(backend, 2);
    await eventually("the idle stream to end", async () => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      return (await backend.report()).streams === 1;
    });
    assert.equal((await backend.report()).connections, 1);
    await untilStreams(backend, 0);
    await eventually("the channel to be closed", () => agent.socketsTo(backend.port) === 0);
  });
});

Deno.test("a channel that answers from a stream is not idle", async () => {
  await using backend = await startHealthBackend();
  const idle = ["--channel-idle-timeout", "1000"];
  await withAgent({ flags: flags(...idle, ...NO_VERIFY) }, async (agent) => {
    await untilWatched(agent, backend);
    for (let check = 0; check < 30; check++) {
      assert.equal(await agent.ask(backend.line()), "up\n");
      await pause(100);
    }
    const { connections, streams } = await backend.report();
    assert.deepEqual({ connections, streams }, { connections: 1, streams: 1 });
  });
});

Deno.test("streams are bounded with the channels, and what lies beyond is checked", async () => {
  await using one = await startHealthBackend();
  await using other = await startHealthBackend();
  await withAgent({ flags: flags("--max-channels", "1", ...NO_VERIFY) }, async (agent) => {
    for (let check = 0; check < 20; check++) {
      assert.equal(await agent.ask((check % 2 === 0 ? one : other).line()), "up\n");
    }
    await untilStreams(one, 0);
    await untilStreams(other, 1);
    assert.equal((await agent.metrics()).get("grpc_channels_active"), 1);
  });
});

Deno.test("of many services on a connection some are watched, and all are answered", async () => {
  const names = Array.from({ length: 60 }, (_, index) => `service.N${index}`);
  const services = Object.fromEntries(names.map((name) => [name, "SERVING" as const]));
  await using backend = await startHealthBackend({ services });
  await withAgent({ flags: flags(...NO_VERIFY) }, async (agent) => {
    const askAll = () =>
      Promise.all(names.map((name) => agent.ask(backend.line({ service: name }))));
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(await askAll(), names.map(() => "up\n"));
    }
    await untilStreams(backend, 50);
    assert.equal((await backend.report()).connections, 1);
    for (const name of names) await backend.setStatus(name, "NOT_SERVING");
    await eventually("all to be down", async () => (await askAll()).every((r) => r === "down\n"));
  });
});

const CRAMPED: [what: string, start: StartBackend, options: HealthBackendOptions][] = [
  ["one stream a connection (grpc-js)", startHealthBackend, { maxConcurrentStreams: 1 }],
  ["one thread (C core)", startPythonBackend, { threads: 1 }],
];

for (const [what, start, options] of CRAMPED) {
  const test = start === startPythonBackend ? testWithPython : Deno.test;
  test(`being watched does not take a backend down that has room for ${what}`, async () => {
    await using backend = await start(options);
    await withAgent({ flags: flags(...VERIFY_SOON) }, async (agent) => {
      for (let check = 0; check < 30; check++) {
        assert.equal(await agent.ask(backend.line()), "up\n", `Check ${check}`);
        await pause(50);
      }
      const { calls, checks } = await backend.report();
      assert.ok(calls > checks, "It was never watched");
    });
  });
}

Deno.test("streams end at SIGHUP with the channels that they are on, and are opened on new ones", async () => {
  await using backend = await startHealthBackend();
  await withAgent({ flags: flags(...NO_VERIFY) }, async (agent) => {
    await untilWatched(agent, backend);
    for (let reload = 1; reload <= 5; reload++) {
      agent.signal("SIGHUP");
      // They are ended, and do not just fall with their connection.
      await untilStreams(backend, 0, GOODBYE_MS - 200);
      await untilWatched(agent, backend);
      await untilStreams(backend, 1);
      assert.equal((await backend.report()).connections, reload + 1);
    }
    await eventually("the old connections to be closed", () => agent.socketsTo(backend.port) === 1);
  });
});

testWithBackends("streams end with the agent, which they do not keep", async (start) => {
  await using backend = await start();
  await using agent = await startAgent({ flags: flags(...NO_VERIFY) });
  await untilWatched(agent, backend);
  agent.signal("SIGTERM");
  const { code } = await within("the agent to end", SHUTDOWN_MS, agent.exited);
  assert.equal(code, 0);
  assert.deepEqual(agent.stderr, [], "It would warn if the shutdown took too long");
  await untilStreams(backend, 0);
});

Deno.test("a client that goes away during a Check that was due harms no other", async () => {
  await using backend = await startHealthBackend();
  await withAgent({ flags: flags(...VERIFY_SOON) }, async (agent) => {
    await untilWatched(agent, backend);
    await backend.setDelay(300);
    await pause(VERIFY_MS);
    const { checks } = await backend.report();
    await resetAfter(
      agent.port,
      backend.line(),
      async () => (await backend.report()).checks > checks,
    );
    await eventually("the client to be gone", async () => {
      return (await agent.metrics()).get("haproxy_connections_active") === 0;
    });
    assert.equal(await agent.ask(backend.line()), "up\n");
    const { connections, streams } = await backend.report();
    assert.deepEqual({ connections, streams }, { connections: 1, streams: 1 });
  });
});

Deno.test("an odd stream takes no backend down", async (t) => {
  await using healthy = await startHealthBackend();
  await withAgent({ flags: flags(...VERIFY_SOON) }, async (agent) => {
    await untilWatched(agent, healthy);
    for (const { name, answer } of STREAM_FAULTS) {
      await t.step(`a stream that ${name}`, async () => {
        await using peer = withStreamFault(answer);
        const line = `127.0.0.1 ${peer.port} no-ssl backend.test\n`;
        for (let check = 0; check < 20; check++) {
          assert.equal(await agent.ask(line), "up\n", `Check ${check}`);
          await pause(20);
        }
        assert.equal(await agent.ask(healthy.line()), "up\n", "The healthy one beside it");
      });
    }
  });
});

Deno.test("a check by hand opens no stream", async () => {
  await using backend = await startHealthBackend();
  const fields = backend.line().trim().split(" ");
  const { code } = await runAgent(["--check-mode", "watch", "check", ...fields]);
  assert.equal(code, 0);
  assert.equal((await backend.report()).calls, 1);
});

Deno.test("a TLS backend is watched", async () => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issue("backend.test", { names: ["backend.test"] });
  await using backend = await startHealthBackend({ tls });
  const options = { flags: flags(...NO_VERIFY, "--tls-ca-file", authority.caFile) };
  await withAgent(options, async (agent) => {
    await untilWatched(agent, backend);
    await backend.setStatus("", "NOT_SERVING");
    await untilReply(() => agent.ask(backend.line()), "down\n", 1000);
    await backend.kill();
    await backend.start();
    await backend.setStatus("", "SERVING");
    await untilWatched(agent, backend);
  });
});

Deno.test("check_mode = check opens no stream", async () => {
  await using backend = await startHealthBackend();
  await withAgent({}, async (agent) => {
    for (let check = 0; check < 5; check++) {
      assert.equal(await agent.ask(backend.line()), "up\n");
    }
    const { calls, checks } = await backend.report();
    assert.deepEqual([calls, checks], [5, 5]);
  });
});
