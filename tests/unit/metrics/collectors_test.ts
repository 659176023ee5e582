import assert from "node:assert/strict";
import { Registry } from "prom-client";
import { addBackendMetrics } from "../../../src/metrics/collectors.ts";
import type { AgentState } from "../../../src/protocol/reply.ts";
import type { BackendQuestion } from "../../../src/protocol/request.ts";
import type { BackendVerdict } from "../../../src/protocol/verdict.ts";
import { BackendHistory } from "../../../src/status/history.ts";

function about(host: string, authority = "x", service = ""): BackendQuestion {
  return {
    key: `${host} ${authority} ${service}`,
    host,
    port: 1,
    tls: false,
    tlsProfile: "",
    authority,
    serverName: authority,
    service,
  };
}

/** A registry with the metrics of a history whose clock stands until it is moved. */
class Lab {
  now = 0;
  single = true;
  readonly #registry = new Registry();
  readonly #history = new BackendHistory(() => this.now);

  constructor() {
    addBackendMetrics(this.#registry, this.#history, () => this.single);
  }

  /** Adds a check of a service of a host, asked for with an authority. */
  add(host: string, state: AgentState, authority = "x", service = ""): void {
    const verdict: BackendVerdict = { kind: "serving" };
    const question = about(host, authority, service);
    this.#history.add(question, { verdict, state, note: "", durationMs: 1 }, "10.0.0.1:1");
  }

  /** Adds a check of a host that could not be made. */
  addUnasked(host: string): void {
    this.#history.addUnasked(about(host), { kind: "local", detail: "EMFILE" }, "10.0.0.1:1");
  }

  /** The samples of a metric without the prefix of its name. */
  async samples(metric: string): Promise<string[]> {
    return [...(await this.#registry.metrics()).matchAll(/^haproxy_grpc_agent_(.*)$/gm)]
      .map(([, sample = ""]) => sample)
      .filter((sample) => sample.split(/[{ ]/)[0] === metric);
  }
}

Deno.test("backends counts by state, and forgets the idle", async () => {
  const lab = new Lab();
  lab.add("a", "up");
  lab.now = 300_000;
  lab.add("b", "down");
  lab.add("c", "down");
  const counts = (up: number, down: number) => [
    `backends{state="up"} ${up}`,
    `backends{state="down"} ${down}`,
    'backends{state="drain"} 0',
    'backends{state="maint"} 0',
  ];
  assert.deepEqual(await lab.samples("backends"), counts(1, 2));
  lab.now = 600_000;
  assert.deepEqual(await lab.samples("backends"), counts(0, 2));
  lab.now = 900_000;
  assert.deepEqual(await lab.samples("backends"), counts(0, 0));
});

Deno.test("backends and backend_up keep what HAProxy was told last of a backend that cannot be asked, and say nothing of one that never could", async () => {
  const lab = new Lab();
  lab.add("a", "down");
  for (; lab.now < 1_200_000; lab.now += 10_000) {
    for (const host of ["a", "b"]) lab.addUnasked(host);
  }
  assert.deepEqual(await lab.samples("backends"), [
    'backends{state="up"} 0',
    'backends{state="down"} 1',
    'backends{state="drain"} 0',
    'backends{state="maint"} 0',
  ]);
  assert.deepEqual(await lab.samples("backend_up"), ['backend_up{backend="a:1",service=""} 0']);
});

Deno.test("backends_unasked counts the backends that could not be asked for a minute, until they can", async () => {
  const lab = new Lab();
  const samplesAt = async (now: number) => {
    lab.now = now;
    for (const host of ["a", "b"]) lab.addUnasked(host);
    return await lab.samples("backends_unasked");
  };
  assert.deepEqual(await lab.samples("backends_unasked"), ["backends_unasked 0"]);
  assert.deepEqual(await samplesAt(0), ["backends_unasked 0"]);
  assert.deepEqual(await samplesAt(59_999), ["backends_unasked 0"]);
  assert.deepEqual(await samplesAt(60_000), ["backends_unasked 2"]);
  lab.add("b", "up");
  assert.deepEqual(await lab.samples("backends_unasked"), ["backends_unasked 1"]);
});

Deno.test("backend_up is up when all authorities of a backend's service are, and goes when it is idle", async () => {
  const lab = new Lab();
  lab.add("::1", "up");
  lab.add("::1", "up", "y");
  lab.add("b", "up", "x", "s");
  lab.add("b", "drain", "y", "s");
  const up = () => lab.samples("backend_up");
  assert.deepEqual(await up(), [
    'backend_up{backend="[::1]:1",service=""} 1',
    'backend_up{backend="b:1",service="s"} 0',
  ]);
  lab.single = false;
  assert.deepEqual(await up(), []);
  lab.single = true;
  lab.now = 600_000;
  assert.deepEqual(await up(), []);
});

Deno.test("backend_up keeps the backends known longest when there are more than a thousand", async () => {
  const lab = new Lab();
  for (let index = 0; index < 1500; index++) lab.add(`h${index}`, "up");
  lab.add("h0", "down");
  const up = await lab.samples("backend_up");
  assert.equal(up.length, 1000);
  assert.equal(up[0], 'backend_up{backend="h0:1",service=""} 0');
  assert.equal(up[999], 'backend_up{backend="h999:1",service=""} 1');
});
