import assert from "node:assert/strict";
import type { AgentProcess } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";

/** A backend with a service that is up and one that is down, so that answers can be told apart. */
async function withBackend(
  test: (agent: AgentProcess, lines: { up: string; down: string }) => Promise<void>,
): Promise<void> {
  await using backend = await startHealthBackend({
    services: { "a.Up": "SERVING", "a.Down": "NOT_SERVING" },
  });
  const lines = {
    up: backend.line({ service: "a.Up" }).trimEnd(),
    down: backend.line({ service: "a.Down" }).trimEnd(),
  };
  await withAgent({}, (agent) => test(agent, lines));
}

Deno.test("a request that arrives byte by byte is answered once", async () => {
  await withBackend(async (agent, { up }) => {
    using client = await agent.connect();
    for (const byte of new TextEncoder().encode(`${up}\n`)) {
      await client.write(new Uint8Array([byte]));
    }
    assert.equal(await client.readLine(), "up\n");
    await client.endWriting();
    assert.equal(await client.readToEnd(), "");
  });
});

Deno.test("a connection carries many requests", async () => {
  await withBackend(async (agent, { up, down }) => {
    using client = await agent.connect();
    for (let round = 0; round < 50; round++) {
      assert.equal(await client.ask(`${up}\n`), "up\n");
      assert.equal(await client.ask(`${down}\n`), "down\n");
    }
  });
});

Deno.test("requests that arrive together are answered in their order, slow ones before fast ones", async () => {
  await using slow = await startHealthBackend({ delayMs: 400 });
  await withBackend(async (agent, { down }) => {
    using client = await agent.connect();
    await client.write(
      [slow.line(), `${down}\n`, "nonsense\n", slow.line(), `${down}\n`].join(""),
    );
    await client.endWriting();
    assert.equal(await client.readToEnd(), "up\ndown\ndown\nup\ndown\n");
  });
});

Deno.test("more requests than may wait are all answered in their order", async () => {
  await withBackend(async (agent, { up, down }) => {
    using client = await agent.connect();
    const count = 500;
    await client.write(`${up}\n${down}\n`.repeat(count / 2));
    await client.endWriting();
    assert.equal(await client.readToEnd(), "up\ndown\n".repeat(count / 2));
  });
});

Deno.test("each line end ends a request once", async (t) => {
  await withBackend(async (agent, { up, down }) => {
    const ends = { "LF": "\n", "CR": "\r", "CR LF": "\r\n" };
    for (const [name, end] of Object.entries(ends)) {
      await t.step(name, async () => {
        using client = await agent.connect();
        await client.write(up + end + down + end);
        await client.endWriting();
        assert.equal(await client.readToEnd(), "up\ndown\n");
      });
    }
    await t.step("CR, and LF after the answer", async () => {
      using client = await agent.connect();
      assert.equal(await client.ask(`${up}\r`), "up\n");
      assert.equal(await client.ask(`\n${down}\r`), "down\n");
      await client.write("\n");
      await client.endWriting();
      assert.equal(await client.readToEnd(), "");
    });
  });
});

Deno.test("a request ends at the end of the stream, and its answer still arrives", async () => {
  await withBackend(async (agent, { up, down }) => {
    using client = await agent.connect();
    await client.write(`${down}\n${up}`);
    await client.endWriting();
    assert.equal(await client.readToEnd(), "down\nup\n");
  });
});

Deno.test("a connection that is half closed without a request is closed without a byte", async () => {
  await withBackend(async (agent) => {
    using client = await agent.connect();
    await client.endWriting();
    assert.equal(await client.readToEnd(), "");
  });
});

Deno.test("a complete request without a line end is answered after a moment of quiet", async () => {
  await withBackend(async (agent, { up, down }) => {
    using client = await agent.connect();
    assert.equal(await client.ask(up), "up\n");
    assert.equal(await client.ask(down), "down\n");
    assert.equal(await client.ask(`${up}\n`), "up\n");
  });
});

Deno.test("a line end that comes after the quiet is part of the request that it ended", async () => {
  await withBackend(async (agent, { up, down }) => {
    for (const end of ["\n", "\r", "\r\n"]) {
      using client = await agent.connect();
      assert.equal(await client.ask(up), "up\n");
      await client.write(`${end}${down}\n`);
      await client.endWriting();
      assert.equal(await client.readToEnd(), "down\n", JSON.stringify(end));
    }
  });
});

Deno.test("an incomplete request waits for its rest, however quiet it is", async () => {
  await withBackend(async (agent, { up }) => {
    using client = await agent.connect();
    const cut = up.indexOf("no-ssl");
    await client.write(up.slice(0, cut));
    await new Promise((resolve) => setTimeout(resolve, 400)); // The quiet under test ends after 100 ms.
    assert.equal(client.unread, "");
    await client.write(`${up.slice(cut)}\n`);
    assert.equal(await client.readLine(), "up\n");
  });
});

Deno.test("a line that is too long closes its connection, after the answers that it owes", async () => {
  await withBackend(async (agent, { up }) => {
    {
      using client = await agent.connect();
      await client.write("x".repeat(1500));
      assert.equal(await client.readToEnd(), "");
    }
    {
      using client = await agent.connect();
      assert.equal(await client.ask(`${up}\n`), "up\n");
      await client.write("x".repeat(1500));
      assert.equal(await client.readToEnd(), "");
    }
    {
      using client = await agent.connect();
      await client.write(`${up}\n${"x".repeat(1500)}`);
      assert.equal(await client.readToEnd(), "up\n");
    }
    assert.equal(await agent.ask(`${up}\n`), "up\n");
  });
});

Deno.test("the answers before a line that is too long arrive, however much of it is left unread", async () => {
  await using backend = await startHealthBackend({ delayMs: 300 });
  await withAgent({}, async (agent) => {
    for (const unread of [1500, 200_000, 200_000]) {
      using client = await agent.connect();
      await client.write(backend.line().repeat(63) + "x".repeat(unread));
      assert.equal(await client.readToEnd(), "up\n".repeat(63));
    }
  });
});

Deno.test("bytes that are not UTF-8 make the line invalid, not the connection", async () => {
  await withBackend(async (agent, { up }) => {
    using client = await agent.connect();
    const text = new TextEncoder().encode(up);
    for (const bytes of [[0xff, 0xfe], [0xc3], [0xed, 0xa0, 0x80], [0x00]]) {
      await client.write(new Uint8Array([...text, ...bytes, 0x0a]));
      assert.equal(await client.readLine(), "down\n");
    }
    assert.equal(await client.ask(`${up}\n`), "up\n");
    const metrics = await agent.metrics();
    assert.equal(metrics.get('check_errors_total{error_type="parse_error"}'), 4);
  });
});
