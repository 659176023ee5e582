import assert from "node:assert/strict";
import { SHORT_DEADLINES } from "../lab/agent/agent_process.ts";
import { counting, withAgent } from "../lab/agent/with_agent.ts";
import { ErrorCode, goaway, resetStream } from "../lab/backends/http2/frames.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { type ScriptedCall, ScriptedServer } from "../lab/backends/peers/scripted_server.ts";
import {
  blackHole,
  closing,
  http1,
  refusing,
  resetting,
  silent,
} from "../lab/backends/peers/tcp_peers.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { type DnsAnswers, type Machine, testWithOwnNames } from "../lab/machine/own_names.ts";
import { eventually } from "../lab/testing/eventually.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

/** HAProxy drops what comes later: its default agent-inter. */
const CONTRACT_MS = 2000;

/** A name with two addresses; getaddrinfo() gives them in this order. */
const TWO_ADDRESSES = { "two.test": ["127.0.0.1", "127.0.0.9"] };

Deno.test("a name that does not resolve is down, counted as dns", async () => {
  await withAgent({}, async (agent) => {
    const seen = await counting(agent, 1, async () => {
      assert.equal(await agent.ask("nothing.invalid 50051 no-ssl backend.test\n"), "down\n");
    });
    assert.deepEqual(seen, { error: 1, dns: 1 });
  });
});

Deno.test("a backend given by name is found", async () => {
  await using backend = await startHealthBackend();
  await withAgent({}, async (agent) => {
    const line = `localhost ${backend.port} no-ssl backend.test\n`;
    assert.equal(await agent.ask(line), "up\n");
  });
});

testWithOwnNames(
  "names that a silent name server knows are down in time, and backends known before stay up",
  {},
  async (wrapper) => {
    await using backend = await startHealthBackend();
    await withAgent({ wrapper, flags: [...SHORT_DEADLINES] }, async (agent) => {
      const byName = `localhost ${backend.port} no-ssl backend.test\n`;
      assert.equal(await agent.ask(byName), "up\n");
      const names = Array.from({ length: 60 }, (_, index) => `name-${index}.test`);
      const lost = names.map((name) => agent.askTimed(`${name} 50051 no-ssl backend.test\n`));
      // Restarted, so that it is not answered from a connection that was kept.
      await backend.restart();
      for (const line of [byName, backend.line()]) {
        const { reply, ms } = await agent.askTimed(line);
        assert.equal(reply, "up\n", line);
        assert.ok(ms < CONTRACT_MS, `The answer took ${Math.round(ms)} ms`);
      }
      // Of those whose turn did not come nothing is said.
      const downs: number[] = [];
      for (const { reply, ms } of await Promise.all(lost)) {
        if (reply !== "") downs.push(ms);
        assert.ok(["down\n", ""].includes(reply), reply);
        assert.ok(ms < CONTRACT_MS, `The answer took ${Math.round(ms)} ms`);
      }
      assert.ok(downs.length >= 16, `${downs.length} names were down`);
      const metrics = await agent.metrics();
      assert.equal(metrics.get('check_errors_total{error_type="timeout"}'), downs.length);
      assert.equal(metrics.get('check_errors_total{error_type="local"}'), 60 - downs.length);
    });
  },
);

/** `ok` names are at 127.0.0.1 by their IPv4 address, others are not answered. */
const OK_NAMES: DnsAnswers = (name, type) =>
  name.startsWith("ok") ? (type === "A" ? ["127.0.0.1"] : []) : undefined;

testWithOwnNames(
  "names that were never resolved before are up beside many that a silent name server knows",
  { "known.test": ["127.0.0.1"] },
  async (wrapper) => {
    await using backend = await startHealthBackend();
    await withAgent({ wrapper, flags: [...SHORT_DEADLINES] }, async (agent) => {
      const silent = Array.from({ length: 100 }, (_, nth) => `name-${nth}.silent.test`);
      const lost = silent.map((name) => agent.ask(`${name} 50051 no-ssl backend.test\n`));
      for (const name of ["localhost", "known.test", "ok.test"]) {
        const line = `${name} ${backend.port} no-ssl backend.test\n`;
        assert.equal(await agent.ask(line), "up\n", line);
      }
      await Promise.all(lost);
    });
  },
  OK_NAMES,
);

testWithOwnNames(
  "a known name that is gone is down in time beside many that a silent name server knows",
  {},
  async (wrapper, change) => {
    await using backend = await startHealthBackend();
    const flags = [...SHORT_DEADLINES, "--grpc-channel-cache=false"];
    await withAgent({ wrapper, flags }, async (agent) => {
      const line = `ok.silent.test ${backend.port} no-ssl backend.test\n`;
      assert.equal(await agent.ask(line), "up\n");
      const silent = Array.from({ length: 100 }, (_, nth) => `name-${nth}.silent.test`);
      const lost = silent.map((name) => agent.ask(`${name} 50051 no-ssl backend.test\n`));
      await change({ "ok.silent.test": [] });
      assert.equal(await agent.ask(line), "down\n");
      await Promise.all(lost);
    });
  },
  OK_NAMES,
);

testWithOwnNames(
  "names whose question for IPv6 is not answered are up by IPv4",
  {},
  async (wrapper) => {
    await using backend = await startHealthBackend();
    await withAgent({ wrapper }, async (agent) => {
      const lines = Array.from(
        { length: 100 },
        (_, nth) => `ok-${nth}.test ${backend.port} no-ssl backend.test\n`,
      );
      assert.equal(await agent.ask(lines[0] ?? ""), "up\n");
      const replies = await Promise.all(lines.map((line) => agent.ask(line)));
      assert.deepEqual(replies, lines.map(() => "up\n"));
    });
  },
  (name, type) => type === "A" ? OK_NAMES(name, type) : undefined,
);

testWithOwnNames(
  "of 300 names at once, cold, none is down, and all are up at the next check",
  {},
  async (wrapper) => {
    await using backend = await startHealthBackend();
    await withAgent({ wrapper }, async (agent) => {
      const askAll = () =>
        Promise.all(Array.from(
          { length: 300 },
          (_, nth) => agent.ask(`ok-${nth}.test ${backend.port} no-ssl backend.test\n`),
        ));
      const first = await askAll();
      assert.ok(!first.includes("down\n"));
      assert.ok(first.filter((reply) => reply === "up\n").length > 50);
      assert.deepEqual(new Set(await askAll()), new Set(["up\n"]));
    });
  },
  async (name, type) => {
    await new Promise((resolve) => setTimeout(resolve, 150));
    return OK_NAMES(name, type);
  },
);

/** Ways in which a name server fails, and glibc says that the name does not exist. */
const HIDDEN_FAILURES: Record<string, {
  fails: DnsAnswers;
  machine?: Machine;
  /** How long the resolver waits, and a while, in milliseconds. */
  lastsMs: number;
}> = {
  "fails, and a module behind dns does not know it": {
    fails: () => "SERVFAIL",
    machine: { hostsModules: "dns files" },
    lastsMs: 1000,
  },
  "fails for its IPv4 addresses, and says that it has no others": {
    fails: (_name, type) => type === "A" ? "SERVFAIL" : [],
    lastsMs: 1000,
  },
  "is silent, and says of other search domains that it is not there": {
    fails: (name) => name === "known.found.test" ? undefined : "NXDOMAIN",
    machine: { resolver: "search found.test other.test\noptions ndots:5 timeout:1 attempts:1" },
    lastsMs: 4000,
  },
};

for (const [what, { fails, machine, lastsMs }] of Object.entries(HIDDEN_FAILURES)) {
  let isServed = true;
  testWithOwnNames(
    `a name known before stays up while its name server ${what}`,
    {},
    async (wrapper) => {
      await using backend = await startHealthBackend();
      const line = `known ${backend.port} no-ssl backend.test\n`;
      await withAgent({ wrapper, flags: ["--grpc-channel-cache", "false"] }, async (agent) => {
        assert.equal(await agent.ask(line), "up\n");
        isServed = false;
        for (const until = performance.now() + lastsMs; performance.now() < until;) {
          assert.equal(await agent.ask(line), "up\n");
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
      });
    },
    (name, type) => {
      if (!isServed) return fails(name, type);
      return type === "AAAA" ? [] : ["127.0.0.1"];
    },
    machine,
  );
}

testWithOwnNames(
  "names known before stay up over a reload while their name server is silent",
  TWO_ADDRESSES,
  async (wrapper, change) => {
    await using backend = await startHealthBackend();
    await withAgent({ wrapper }, async (agent) => {
      const line = `two.test ${backend.port} no-ssl backend.test\n`;
      assert.equal(await agent.ask(line), "up\n");
      await change({}); // what is not in the file is asked of the name server
      agent.signal("SIGHUP");
      await agent.waitForLog("of the reload", ({ message }) => /read again/.test(message));
      assert.equal(await agent.ask(line), "up\n");
    });
  },
);

testWithOwnNames(
  "a name that is gone when its backend's connection is lost is down as dns, and up when it is back",
  TWO_ADDRESSES,
  async (wrapper, change) => {
    await using backend = await startHealthBackend();
    await withAgent({ wrapper }, async (agent) => {
      const line = `two.test ${backend.port} no-ssl backend.test\n`;
      for (let round = 0; round < 2; round++) {
        assert.equal(await agent.ask(line), "up\n");
        await change({ "two.test": [] });
        assert.equal(await agent.ask(line), "up\n", "the connection is kept");
        await backend.restart();
        const counted = await counting(agent, 2, async () => {
          for (let time = 0; time < 2; time++) assert.equal(await agent.ask(line), "down\n");
        });
        assert.deepEqual(counted, { error: 2, dns: 2 });
        await change(TWO_ADDRESSES);
      }
      assert.equal(await agent.ask(line), "up\n");
    });
  },
);

testWithOwnNames(
  "a backend is asked at the first address of its name, and where the name leads later",
  TWO_ADDRESSES,
  async (wrapper, change) => {
    await using first = await startHealthBackend();
    await using second = await startHealthBackend({
      host: "127.0.0.9",
      port: first.port,
      services: { "": "NOT_SERVING" },
    });
    // The names of kept connections are looked up again every half of this.
    const flags = ["--channel-idle-timeout", "2000"];
    await withAgent({ wrapper, flags }, async (agent) => {
      const line = `two.test ${first.port} no-ssl backend.test\n`;
      assert.equal(await agent.ask(line), "up\n");
      assert.equal((await second.report()).calls, 0);
      await change({ "two.test": ["127.0.0.9"] });
      await eventually("the new address to be asked", async () => {
        return await agent.ask(line) === "down\n";
      });
      assert.equal((await first.report()).connections, 1, "the old server lives on");
    });
  },
);

testWithOwnNames(
  "a backend that takes its time to greet is up however many addresses its name has",
  { "many.test": ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"] },
  async (wrapper) => {
    await using slow = await ScriptedServer.start({ hostname: "0.0.0.0", acceptDelayMs: 300 });
    await withAgent({ wrapper }, async (agent) => {
      assert.equal(await agent.ask(`many.test ${slow.port} no-ssl backend.test\n`), "up\n");
    });
  },
);

for (
  const [what, start, whenBothAreDead] of [
    ["refuses", refusing, "backend_unreachable"],
    ["drops every SYN", blackHole, "timeout"],
    ["closes connections", closing, "backend_unreachable"],
    ["resets connections", resetting, "backend_unreachable"],
    ["is silent", silent, "timeout"],
    ["speaks HTTP/1.1", http1, "backend_unreachable"],
  ] as const
) {
  testWithOwnNames(
    `a backend whose first address ${what} is up by its second`,
    TWO_ADDRESSES,
    async (wrapper) => {
      await using first = await start();
      await using second = await startHealthBackend({ host: "127.0.0.9", port: first.port });
      await withAgent({ wrapper }, async (agent) => {
        const line = `two.test ${first.port} no-ssl backend.test\n`;
        const { reply, ms } = await agent.askTimed(line);
        assert.equal(reply, "up\n");
        assert.ok(ms < CONTRACT_MS, `The answer took ${Math.round(ms)} ms`);
        await eventually("one connection to stay", () => agent.socketsTo(first.port) === 1);
        await second.restart();
        assert.equal(await agent.ask(line), "up\n");
        await second.kill();
        const counted = await counting(agent, 2, async () => {
          for (let time = 0; time < 2; time++) assert.equal(await agent.ask(line), "down\n");
        });
        assert.deepEqual(counted, { error: 2, [whenBothAreDead]: 2 });
        await eventually("no connection to stay", () => agent.socketsTo(first.port) === 0);
        await second.start();
        assert.equal(await agent.ask(line), "up\n");
      });
    },
  );
}

Deno.test("a name that the resolver would read as an address is refused, with the reason", async () => {
  await using backend = await startHealthBackend();
  await withAgent({ flags: ["--reply-reason"] }, async (agent) => {
    for (const spelling of ["127.1", "2130706433", "0x7f.1", "0177.0.0.1"]) {
      const reply = await agent.ask(`${spelling} ${backend.port} no-ssl backend.test\n`);
      assert.match(
        reply,
        /^down #parse_error: backend_server is an IPv4 address in an old spelling/,
      );
    }
  });
});

/** Names that end in a number; the last one is the id of a container. */
const NUMBERED = ["couchdb.1", "db.01", "10.0.0.256", "123456789012"];

testWithOwnNames(
  "names that end in a number are names",
  Object.fromEntries(NUMBERED.map((name) => [name, ["127.0.0.1"]])),
  async (wrapper) => {
    await using backend = await startHealthBackend();
    const flags = ["--allow-backends", "*.1,db.01,127.0.0.0/8"];
    await withAgent({ wrapper, flags }, async (agent) => {
      for (const name of NUMBERED) {
        const line = `${name} ${backend.port} no-ssl backend.test\n`;
        assert.equal(await agent.ask(line), "up\n", line);
      }
    });
  },
);

Deno.test("a profile's server_name may end in a number", async () => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issueServer("web.1");
  await using backend = await startHealthBackend({ tls });
  await using directory = await TempDirectory.create();
  const config = await directory.write(
    "agent.toml",
    `[tls.web]\nca_file = "${authority.caFile}"\nserver_name = "web.1"\n`,
  );
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    assert.equal(await agent.ask(backend.line().replace("\n", " tls=web\n")), "up\n");
  });
});

/** What a connection that is kept may come to, without the backend being to blame. */
const GOODBYES: Record<string, (call: ScriptedCall) => void | Promise<void>> = {
  "closes": ({ connection }) => connection.end(),
  "says GOAWAY": ({ connection }) => connection.send(goaway(0)),
  "refuses the stream": (call) => call.send(resetStream(call.streamId, ErrorCode.REFUSED_STREAM)),
  "resets the stream": (call) => call.send(resetStream(call.streamId, ErrorCode.INTERNAL_ERROR)),
  "goes deaf": () => {},
};

for (const hosts of [["127.0.0.1", "127.0.0.9"], ["127.0.0.9", "127.0.0.1"]]) {
  testWithOwnNames(
    `a name of ${
      hosts.join(" and ")
    }, of which 127.0.0.9 refuses, stays up when a kept connection ends`,
    { "two.test": hosts },
    async (wrapper) => {
      for (const [how, goodbye] of Object.entries(GOODBYES)) {
        let isOver = false;
        await using backend = await ScriptedServer.start({
          acknowledges: ({ connection }) => !(isOver && how === "goes deaf" && connection === 1),
          answer: (call) => isOver && call.connection.nth === 1 ? goodbye(call) : call.serve(),
        });
        await withAgent({ wrapper }, async (agent) => {
          const line = backend.line({ host: "two.test" });
          assert.equal(await agent.ask(line), "up\n");
          isOver = true;
          assert.equal(await agent.ask(line), "up\n", how);
        });
      }
    },
  );
}
