import assert from "node:assert/strict";
import type { Browser, Page } from "playwright-core";
import { type AgentProcess, LONG_DEADLINES } from "../lab/agent/agent_process.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { BROWSER, startBrowser } from "../lab/clients/browser.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { testThatNeeds } from "../lab/testing/test_that_needs.ts";

const EVIL =
  `<script>document.title="owned"</script><img src="/x" onerror="document.title='owned'">`;

/** What `/api/status` says of one backend, as far as the tests look. */
interface Shown {
  backend: string;
  service: string;
  state: string;
  damping: string;
  checks: number;
  failures: number;
  changes: number;
  channel: string;
  recent: { duration_ms: number; failed: boolean }[];
  last_failure: { error_type: string; error: string } | null;
  unasked: { error_type: string; error: string } | null;
}

async function status(agent: AgentProcess): Promise<{
  backends: Shown[];
  totals: { backends: Record<string, number>; answers: Record<string, number> };
  configuration: Record<string, unknown>;
}> {
  return JSON.parse((await agent.get("/api/status")).body);
}

/** Shows the status page, and collects whatever the browser complains of. */
async function show(
  agent: AgentProcess,
  test: (page: Page, complaints: string[]) => Promise<void>,
  options: Parameters<Browser["newPage"]>[0] = {},
): Promise<void> {
  const browser = await startBrowser();
  try {
    const page = await browser.newPage(options);
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("requestfailed", (request) => complaints.push(`${request.url()} failed`));
    const response = await page.goto(`http://127.0.0.1:${agent.metricsPort}/`);
    assert.equal(response?.status(), 200);
    await test(page, complaints);
  } finally {
    await browser.close();
  }
}

Deno.test("/api/status tells each backend's state, reason, counts, damping and channel", async () => {
  await using good = await startHealthBackend();
  await using dying = await startHealthBackend();
  await withAgent({ flags: ["--fall", "3"] }, async (agent) => {
    await agent.ask(good.line());
    await agent.ask(dying.line());
    await dying.kill();
    await agent.ask(dying.line());
    const [first, second] = await eventually("both backends to be shown", async () => {
      const { backends } = await status(agent);
      return backends.length === 2 && backends[0]?.failures === 1 ? backends : undefined;
    });
    assert.ok(first && second);
    assert.equal(first.backend, dying.address);
    assert.equal(first.state, "up");
    assert.equal(first.damping, "1 of 3 failures");
    assert.equal(first.last_failure?.error_type, "backend_unreachable");
    assert.match(first.last_failure?.error ?? "", /ECONNREFUSED/);
    assert.deepEqual([first.checks, first.failures, first.changes], [2, 1, 0]);
    assert.deepEqual(first.recent.map(({ failed }) => failed), [false, true]);
    assert.equal(first.channel, "none");
    assert.deepEqual([second.state, second.last_failure, second.channel], ["up", null, "ready"]);
    await agent.ask(dying.line());
    await agent.ask(dying.line());
    const { backends, totals } = await eventually("the backend to be down", async () => {
      const now = await status(agent);
      return now.backends[0]?.state === "down" ? now : undefined;
    });
    assert.deepEqual([backends[0]?.damping, backends[0]?.changes], ["", 1]);
    assert.deepEqual(totals.backends, { up: 1, down: 1, drain: 0, maint: 0 });
    assert.deepEqual(totals.answers, { up: 2, down: 0, error: 3 });
  });
});

Deno.test("a backend that the agent cannot ask is shown with what it lacks, and in no state that nobody was told", async () => {
  await using backend = await startHealthBackend();
  await using frozen = await startHealthBackend();
  await frozen.freeze();
  const lineOf = (authority: string) => `${backend.line({ authority }).trimEnd()} timeout=300\n`;
  await withAgent({ flags: ["--max-channels", "1", ...LONG_DEADLINES] }, async (agent) => {
    const states = async () => {
      const metrics = await agent.metrics();
      return ["up", "down", "drain", "maint"].map((state) =>
        metrics.get(`haproxy_grpc_agent_backends{state="${state}"}`)
      );
    };
    assert.equal(await agent.ask(lineOf("known.test")), "up\n");
    const reply = agent.ask(frozen.line());
    await eventually("its check to have taken the only channel", async () => {
      const opened = "haproxy_grpc_agent_backend_connections_opened_total";
      return (await agent.metrics()).get(opened) === 2;
    });
    assert.equal(await agent.ask(lineOf("known.test")), "up\n", "The last answer is repeated");
    assert.equal(await agent.ask(lineOf("new.test")), "", "There is none to repeat");
    const shown = await eventually("both to be shown", async () => {
      const { backends } = await status(agent);
      return backends.length === 2 ? backends : undefined;
    });
    assert.deepEqual(shown.map(({ state, checks }) => [state, checks]), [
      ["unanswered", 0],
      ["up", 1],
    ]);
    for (const { unasked, last_failure: failure } of shown) {
      assert.equal(unasked?.error_type, "local");
      assert.match(unasked?.error ?? "", /max_channels/);
      assert.equal(failure, null, "Nothing speaks against the backend");
    }
    assert.deepEqual(await states(), [1, 0, 0, 0]);
    assert.match((await agent.get("/")).body, /<h1 class="warn">2 could not be asked of 2</);

    await frozen.thaw();
    assert.equal(await reply, "up\n");
    for (const authority of ["known.test", "new.test"]) {
      assert.equal(await agent.ask(lineOf(authority)), "up\n");
    }
    assert.deepEqual(await states(), [3, 0, 0, 0]);
    await eventually("all to be shown as up", async () => {
      return (await agent.get("/")).body.includes('<h1 class="up">All 3 up<');
    });
  });
});

Deno.test("the configuration in force is shown, secrets hidden", async () => {
  const file = await Deno.makeTempFile({ suffix: ".toml" });
  try {
    await Deno.writeTextFile(file, 'fall = 7\n[metadata]\nauthorization = "Bearer s3cret"\n');
    await withAgent({ flags: ["--config", file] }, async (agent) => {
      assert.equal((await status(agent)).configuration.fall, 7);
      const { body: page } = await agent.get("/");
      assert.match(page, /^fall = 7$/m);
      assert.match(page, /^authorization = &quot;\(hidden\)&quot;$/m);
      assert.ok(!(page + (await agent.get("/api/status")).body).includes("s3cret"));
    });
  } finally {
    await Deno.remove(file);
  }
});

testThatNeeds(
  BROWSER,
  "the status page shows the failing backend first, without a complaint",
  async () => {
    await using good = await startHealthBackend();
    await using bad = await startHealthBackend({ services: { "": "NOT_SERVING" } });
    await withAgent({}, async (agent) => {
      await agent.ask(good.line());
      await agent.ask(bad.line());
      await show(agent, async (page, complaints) => {
        assert.equal(await page.locator("h1").innerText(), "1 down of 2");
        const row = page.locator("tbody tr").first();
        assert.match(await row.locator(".who").innerText(), new RegExp(bad.address));
        assert.match(await row.locator(".why").innerText(), /not_serving.*\n*.*NOT_SERVING/);
        assert.ok(await row.getByRole("img", { name: "1 failed" }).isVisible(), "the sparkline");
        assert.notEqual(
          await page.evaluate("getComputedStyle(document.body).backgroundColor"),
          "rgba(0, 0, 0, 0)",
          "the style is taken by the page's own policy",
        );
        assert.deepEqual(complaints, []);
      });
    });
  },
);

testThatNeeds(BROWSER, "the status page works without JavaScript, refresh included", async () => {
  await withAgent({}, async (agent) => {
    await show(agent, async (page, complaints) => {
      assert.match(await page.locator("main").innerText(), /Nobody has asked/);
      await page.locator("summary").click();
      assert.match(await page.locator("pre").innerText(), /^server_port = \d+$/m);
      await page.getByRole("link", { name: "Refresh every 5 s" }).click();
      await page.getByRole("link", { name: "Stop refreshing" }).waitFor();
      assert.deepEqual(complaints, []);
    }, { javaScriptEnabled: false });
  });
});

testThatNeeds(BROWSER, "what a backend says stays text in the status page", async () => {
  await using backend = await startHealthBackend();
  await backend.setError("", 2, EVIL);
  await withAgent({}, async (agent) => {
    await agent.ask(backend.line());
    await show(agent, async (page, complaints) => {
      assert.match(await page.locator(".said").innerText(), /<script>document\.title="owned"/);
      assert.equal(await page.locator("script, img").count(), 0);
      assert.doesNotMatch(await page.title(), /owned/);
      assert.deepEqual(complaints, []);
    });
  });
});

testThatNeeds(
  BROWSER,
  "the status page follows the reader's colours, and fits a narrow screen",
  async () => {
    await using backend = await startHealthBackend();
    await withAgent({}, async (agent) => {
      await agent.ask(backend.line({ service: `a.${"long".repeat(50)}` }));
      const grounds: string[] = [];
      for (const colorScheme of ["light", "dark"] as const) {
        await show(agent, async (page) => {
          grounds.push(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
          const overflow: number = await page.evaluate(
            "document.documentElement.scrollWidth - innerWidth",
          );
          assert.ok(overflow <= 0, `${overflow} px stand out on the right`);
        }, { colorScheme, viewport: { width: 320, height: 600 } });
      }
      assert.notEqual(grounds[0], grounds[1]);
    });
  },
);
