// When a call is made again, and when not: what a server has not begun is asked elsewhere within the same check,
// within bounds; what it has begun to answer is not.

import assert from "node:assert/strict";
import { withAgent } from "../../lab/agent/with_agent.ts";
import {
  ErrorCode,
  FrameType,
  goaway,
  MAX_STREAM_ID,
  resetStream,
} from "../../lab/backends/http2/frames.ts";
import { responseHeaders } from "../../lab/backends/peers/http2_peer.ts";
import { ScriptedServer } from "../../lab/backends/peers/scripted_server.ts";
import type {
  ScriptedCall,
  ScriptedServerOptions,
} from "../../lab/backends/peers/scripted_server.ts";
import { testPlainAndTls } from "../../lab/backends/tls/test_plain_and_tls.ts";
import { eventually } from "../../lab/testing/eventually.ts";

/** Ways in which a server does not process a call. */
const UNPROCESSED: Record<string, (call: ScriptedCall) => void | Promise<void>> = {
  "closes": ({ connection }) => connection.end(),
  "resets the connection": ({ connection }) => connection.reset(),
  "says GOAWAY(0)": ({ connection }) => connection.send(goaway(0)),
  "refuses the stream": (call) => call.send(resetStream(call.streamId, ErrorCode.REFUSED_STREAM)),
};

testPlainAndTls(
  "a server that never processes a call is asked four times, then twice a check, until it does",
  async ({ flags, server }) => {
    await withAgent({ flags: [...flags] }, async (agent) => {
      await Promise.all(
        Object.entries(UNPROCESSED).map(async ([name, answer]) => {
          let isWell = false;
          await using backend = await ScriptedServer.start({
            ...server,
            answer: (call) => isWell ? call.serve() : answer(call),
          });
          const attempts = async (reply: string) => {
            const before = backend.calls.length;
            assert.equal(await agent.ask(backend.line()), reply, name);
            return backend.calls.length - before;
          };
          for (let round = 0; round < 2; round++) {
            isWell = false;
            const calls: number[] = [];
            for (let check = 0; check < 5; check++) calls.push(await attempts("down\n"));
            const [first = 0] = calls;
            assert.ok(first >= 2 && Math.max(...calls) <= 4, `${name}: ${calls}`);
            // Four, and then two a check; a check that was short of time may not have used up its four.
            assert.ok(calls.reduce((sum, count) => sum + count) <= 14, `${name}: ${calls}`);
            isWell = true;
            await attempts("up\n");
          }
          assert.deepEqual(backend.violations, []);
        }),
      );
    });
  },
);

testPlainAndTls(
  "a connection that ends within an answer is down without a second call",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      answer: ({ streamId, connection }) => connection.end(responseHeaders(streamId)),
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      for (let nth = 1; nth <= 2; nth++) {
        assert.equal(await agent.ask(backend.line()), "down\n");
        assert.equal(backend.calls.length, nth);
      }
    });
  },
);

testPlainAndTls(
  "a call at or below the last stream of GOAWAY goes on, and the connection is closed when it has ended",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      answer: async (call) => {
        const { connection, streamId } = call;
        await connection.send(goaway(MAX_STREAM_ID));
        await call.pause(30);
        await connection.send(goaway(streamId));
        await call.pause(30);
        await call.serve();
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      for (let nth = 1; nth <= 4; nth++) {
        assert.equal(await agent.ask(backend.line()), "up\n");
        const connection = backend.connections[nth - 1];
        assert.equal(connection?.calls.length, 1, `Calls on connection ${nth}`);
        await eventually("the connection to be closed", () => connection.isClosed);
        assert.equal(connection.endedByClient, "close");
      }
      assert.equal(backend.calls.length, 4);
      assert.deepEqual(backend.violations, []);
    });
  },
);

testPlainAndTls(
  "a connection that goes away between two checks costs none of them a second call",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      answer: async (call) => {
        await call.serve();
        await call.pause(10);
        await call.send(goaway(call.streamId));
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      for (let nth = 1; nth <= 5; nth++) {
        assert.equal(await agent.ask(backend.line()), "up\n");
        await eventually("the connection to be closed", () => backend.open.length === 0);
      }
      assert.equal(backend.calls.length, 5);
      assert.deepEqual(backend.violations, []);
    });
  },
);

testPlainAndTls(
  "a silent connection gets one PING, then the call is made on a new one, and the silent one is left",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      acknowledges: ({ connection, type }) => connection > 1 || type !== FrameType.PING,
      answer: async (call) => {
        if (call.nth !== 2) await call.serve();
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      assert.equal(await agent.ask(backend.line()), "up\n");
      const [silent] = backend.connections;
      assert.ok(silent);
      const pings = silent.frames.filter(({ type }) => type === FrameType.PING);
      assert.equal(pings.length, 1);
      assert.deepEqual(backend.calls.map(({ connection }) => connection.nth), [1, 1, 2]);
      await eventually("the silent one to be left", () => silent.isClosed);
      assert.equal(await agent.ask(backend.line()), "up\n");
      assert.deepEqual(backend.violations, []);
    });
  },
);

testPlainAndTls(
  "a server that dies within the hedge, on both connections, is down in time",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      acknowledges: ({ type }) => type !== FrameType.PING,
      answer: async (call) => {
        if (call.nth === 1) await call.serve();
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      assert.equal(await agent.ask(backend.line()), "up\n");
      const { reply, ms } = await agent.askTimed(backend.line());
      assert.equal(reply, "down\n");
      assert.ok(ms < 2000, `The answer took ${Math.round(ms)} ms`);
      assert.ok(backend.calls.length <= 5, `${backend.calls.length} calls`);
      await eventually("all connections to be left", () => backend.open.length <= 1);
    });
  },
);

/**
 * A server whose first connection goes deaf once it is told to.
 *
 * @param answerNext what it does then with calls on other connections
 */
async function deafServer(
  server: ScriptedServerOptions,
  answerNext: (call: ScriptedCall) => void | Promise<void>,
): Promise<{ readonly backend: ScriptedServer; readonly goDeaf: () => void }> {
  let isDeaf = false;
  const backend = await ScriptedServer.start({
    ...server,
    acknowledges: ({ connection }) => !isDeaf || connection > 1,
    answer: async (call) => {
      if (!isDeaf) await call.serve();
      else if (call.connection.nth > 1) await answerNext(call);
    },
  });
  return { backend, goDeaf: () => isDeaf = true };
}

for (const timeoutMs of [300, 600]) {
  testPlainAndTls(
    `a check that waits ${timeoutMs} ms and joins a more patient one on a deaf connection is up`,
    async ({ flags, server }) => {
      const { backend, goDeaf } = await deafServer(server, (call) => call.serve());
      await using _ = backend;
      await withAgent({ flags: [...flags] }, async (agent) => {
        assert.equal(await agent.ask(backend.line()), "up\n");
        goDeaf();
        const patient = agent.ask(backend.line());
        await eventually("the patient one's call", () => backend.calls.length === 2);
        assert.equal(await agent.ask(backend.line({ option: `timeout=${timeoutMs}` })), "up\n");
        assert.equal(await patient, "up\n");
        assert.equal(backend.calls.length, 3, "They share the calls");
      });
    },
  );
}

for (const [how, answer] of Object.entries(UNPROCESSED)) {
  testPlainAndTls(
    `where a connection has gone deaf and the next one ${how}, the one after that is asked in time`,
    async ({ flags, server }) => {
      const { backend, goDeaf } = await deafServer(
        server,
        (call) => call.connection.nth === 2 ? answer(call) : call.serve(),
      );
      await using _ = backend;
      await withAgent({ flags: [...flags] }, async (agent) => {
        assert.equal(await agent.ask(backend.line()), "up\n");
        goDeaf();
        assert.equal(await agent.ask(backend.line({ option: "timeout=1000" })), "up\n");
      });
    },
  );
}

testPlainAndTls(
  "a service that no longer answers on a connection that lives is asked on a new one by the next check",
  async ({ flags, server }) => {
    let hangs = false;
    await using backend = await ScriptedServer.start({
      ...server,
      answer: async (call) => {
        const isStuck = hangs && call.service === "a" && call.connection.nth === 1;
        if (!isStuck) await call.serve();
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      const ask = (service: string) => agent.ask(backend.line({ option: `service=${service}` }));
      for (const service of ["a", "b"]) assert.equal(await ask(service), "up\n");
      hangs = true;
      assert.equal(await ask("b"), "up\n");
      assert.equal(await ask("a"), "down\n");
      assert.equal(await ask("b"), "up\n");
      assert.equal(await ask("a"), "up\n");
      assert.ok(backend.connections.length <= 2, `${backend.connections.length} connections`);
    });
  },
);

testPlainAndTls(
  "where no connection is kept, forty checks of a server that takes its time to accept are up",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({ ...server, acceptDelayMs: 200 });
    await withAgent({ flags: [...flags, "--grpc-channel-cache", "false"] }, async (agent) => {
      const replies = await Promise.all(
        Array.from({ length: 40 }, (_, n) => agent.ask(backend.line({ option: `service=N${n}` }))),
      );
      assert.deepEqual(new Set(replies), new Set(["up\n"]));
    });
  },
);

testPlainAndTls(
  "servers that hang are down, though their calls fill max_channels and leave no room for a second one",
  async ({ flags, server }) => {
    let hangs = false;
    await using stack = new AsyncDisposableStack();
    const start = () =>
      ScriptedServer.start({
        ...server,
        acknowledges: ({ type }) => !hangs || type !== FrameType.PING,
        answer: async (call) => {
          if (!hangs) await call.serve();
        },
      });
    const backends = await Promise.all(Array.from({ length: 4 }, start));
    for (const backend of backends) stack.use(backend);
    await withAgent({ flags: [...flags, "--max-channels", "4"] }, async (agent) => {
      const ask = async () =>
        new Set(
          await Promise.all(
            backends.map((backend) => agent.ask(backend.line({ option: "timeout=900" }))),
          ),
        );
      assert.deepEqual(await ask(), new Set(["up\n"]));
      hangs = true;
      assert.deepEqual(await ask(), new Set(["down\n"]));
    });
  },
);

testPlainAndTls(
  "twenty-four services of a server that takes 100 ms to accept, and one call a connection, are up",
  async ({ flags, server }) => {
    await using backend = await ScriptedServer.start({
      ...server,
      acceptDelayMs: 100,
      answer: async (call) => {
        await call.serve();
        await call.connection.end();
      },
    });
    await withAgent({ flags: [...flags] }, async (agent) => {
      const replies = await Promise.all(
        Array.from({ length: 24 }, (_, n) => agent.ask(backend.line({ option: `service=N${n}` }))),
      );
      assert.deepEqual(new Set(replies), new Set(["up\n"]));
    });
  },
);
