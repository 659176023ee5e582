import assert from "node:assert/strict";
import type { Destination } from "../../../src/backend/dial.ts";
import type { Placement } from "../../../src/backend/placement.ts";
import type { PoolOptions } from "../../../src/backend/pool.ts";
import { goaway, settings } from "../../lab/backends/http2/frames.ts";
import { GatedPeer, healthAnswer, http2Peer } from "../../lab/backends/peers/http2_peer.ts";
import { PeerServer } from "../../lab/backends/peers/peer_server.ts";
import { blackHole, silent } from "../../lab/backends/peers/tcp_peers.ts";
import { freePort } from "../../lab/machine/free_port.ts";
import { eventually, within } from "../../lab/testing/eventually.ts";
import { FakeTime } from "../../lab/unit/fake_time.ts";
import { at, PoolLab } from "../../lab/unit/pool_lab.ts";
import { settingsOf } from "../../lab/unit/session_script.ts";

const MAX_CONCURRENT_STREAMS = 3;
const oneStream = settingsOf([MAX_CONCURRENT_STREAMS, 1]);

/** A peer that answers at once. */
function healthy(hostname?: string): PeerServer {
  return http2Peer({ answer: ({ send, streamId }) => send(healthAnswer(streamId)) }, hostname);
}

/** A peer that takes one connection; whoever comes later is refused. */
async function singlePeer(peer: PeerServer, connect: (port: number) => void): Promise<number> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  connect(port);
  peer.adopt(await listener.accept());
  listener.close();
  return port;
}

Deno.test("Pool keeps a connection for the next call", async () => {
  await using peer = healthy();
  await using lab = new PoolLab();
  for (let nth = 0; nth < 3; nth++) assert.equal(await lab.call([at(peer.port)]), "response");
  assert.deepEqual([peer.connections, lab.opened, lab.closed.length], [1, 1, 0]);
});

Deno.test("Pool keeps connections apart by address, port and host's TLS, not by name", async () => {
  await using peer = healthy();
  await using lab = new PoolLab();
  await lab.call([{ ...at(peer.port), host: "a" }]);
  await lab.call([{ ...at(peer.port), host: "b" }]);
  assert.equal(peer.connections, 1);
});

Deno.test("Pool sends one call before the server's SETTINGS, and the others on the same connection after", async () => {
  await using peer = new GatedPeer();
  await using lab = new PoolLab();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const destination = at(listener.addr.port);
  let placed = 0;
  const ends: string[] = [];
  for (let nth = 0; nth < 10; nth++) {
    void lab.place([destination], {}, ({ kind }) => ends.push(kind)).placed.then(() => placed++);
  }
  const connection = await listener.accept();
  await eventually("the first call", () => placed > 0);
  assert.deepEqual([placed, lab.opened], [1, 1]);
  peer.server.adopt(connection);
  await peer.requests(10);
  await peer.answer(10);
  await eventually("the answers", () => ends.length === 10);
  assert.deepEqual(ends, Array(10).fill("response"));
  assert.deepEqual([placed, lab.opened], [10, 1]);
  listener.close();
});

Deno.test("Pool opens more connections where a server takes one call on each, and sixteen at most", async () => {
  await using peer = new GatedPeer({ greeting: oneStream });
  await using lab = new PoolLab();
  const calls = Array.from({ length: 20 }, () => lab.call([at(peer.port)]));
  await peer.requests(16);
  assert.equal(peer.server.connections, 16);
  for (let left = 20; left > 0; left--) {
    await peer.requests(Math.min(16, left));
    await peer.answer();
  }
  assert.deepEqual(await Promise.all(calls), Array(20).fill("response"));
  assert.equal(peer.server.connections, 16);
});

Deno.test("Pool evicts the connection whose last use is longest ago, and none with a call on it", async () => {
  await using peers = new AsyncDisposableStack();
  const [idle, busy, next, last] = Array.from({ length: 4 }, () => peers.use(new GatedPeer()));
  assert.ok(idle && busy && next && last);
  await using lab = new PoolLab({ maxConnections: 2 });
  const first = lab.call([at(idle.port)]);
  await idle.requests(1);
  await idle.answer();
  await first;
  const kept = lab.call([at(busy.port)]);
  await busy.requests(1);
  const second = lab.call([at(next.port)]);
  await next.requests(1);
  await eventually("the eviction", () => lab.closed.length === 1);
  assert.deepEqual(lab.closed, ["limit"]);
  // Both are busy now: the next call waits for one of them.
  const third = lab.call([at(last.port)]);
  assert.equal(lab.opened, 3);
  assert.equal(last.server.connections, 0);
  await busy.answer();
  assert.equal(await kept, "response");
  await last.requests(1);
  await Promise.all([next.answer(), last.answer()]);
  assert.deepEqual(await Promise.all([second, third]), ["response", "response"]);
  assert.deepEqual(lab.closed, ["limit", "limit"]);
});

Deno.test("Pool serves all that wait for room, in turn", async () => {
  await using peers = new AsyncDisposableStack();
  const ports = Array.from({ length: 10 }, () => peers.use(healthy()).port);
  await using lab = new PoolLab({ maxConnections: 3 });
  const calls = ports.map((port) => lab.call([at(port)]));
  assert.deepEqual(await Promise.all(calls), Array(10).fill("response"));
});

Deno.test("Pool keeps nothing where connections are not kept", async () => {
  await using peer = healthy();
  await using lab = new PoolLab({ keep: false });
  for (let nth = 0; nth < 3; nth++) assert.equal(await lab.call([at(peer.port)]), "response");
  assert.equal(peer.connections, 3);
  await eventually("their ends", () => lab.closed.length === 3);
  assert.deepEqual(lab.closed, ["unused", "unused", "unused"]);
});

for (const keep of [true, false]) {
  Deno.test(`Pool lets a dial go on that nobody waits for, and the next call uses it (keep: ${keep})`, async () => {
    await using peer = healthy();
    await using lab = new PoolLab({ keep });
    lab.place([at(peer.port)]).leave();
    assert.equal(lab.pool.stateOf(at(peer.port)), "connecting");
    await eventually("the connection", () => lab.pool.stateOf(at(peer.port)) === "ready");
    assert.equal(await lab.call([at(peer.port)]), "response");
    assert.equal(peer.connections, 1);
  });
}

Deno.test("Pool joins a dial to the same destination that is under way", async () => {
  await using peer = new GatedPeer();
  await using lab = new PoolLab();
  const calls = [lab.call([at(peer.port)]), lab.call([at(peer.port)])];
  assert.equal(lab.opened, 1);
  await peer.requests(2);
  await peer.answer(2);
  await Promise.all(calls);
  assert.equal(peer.server.connections, 1);
});

Deno.test("Pool tries the addresses in their order, and none beyond the first that answers", async () => {
  await using first = healthy();
  await using second = healthy();
  await using lab = new PoolLab();
  assert.equal(await lab.call([at(first.port), at(second.port)]), "response");
  assert.deepEqual([first.connections, second.connections], [1, 0]);
});

Deno.test("Pool tries the next address at once after one that refuses", async () => {
  await using peer = healthy();
  await using lab = new PoolLab();
  const refused = at(freePort());
  assert.equal(await lab.call([refused, at(peer.port)]), "response");
  assert.deepEqual(lab.closed, ["peer"]);
  assert.equal(await lab.call([refused, at(peer.port)]), "response");
  assert.equal(lab.opened, 2, "the second call took the kept connection");
});

Deno.test("Pool tries the next address beside one that is silent, and ends that dial then", async () => {
  await using hole = await blackHole();
  await using peer = healthy();
  await using lab = new PoolLab({ connectTimeoutMs: 60_000 });
  assert.equal(await lab.call([at(hole.port), at(peer.port)]), "response");
  await eventually("the end of the other dial", () => lab.closed.length === 1);
  assert.equal(lab.pool.stateOf(at(hole.port)), undefined);
});

Deno.test("Pool says why the last address failed when all have", async () => {
  await using lab = new PoolLab();
  const [one, other] = [freePort(), freePort()];
  const placement = await lab.place([at(one), at(other)]).placed;
  assert.ok(!placement.ok && placement.failure.verdict.kind === "unreachable");
  assert.match(placement.failure.verdict.detail, new RegExp(`ECONNREFUSED 127.0.0.1:${other}$`));
  assert.equal(lab.pool.stateOf(at(one)), undefined);
});

Deno.test("Pool ends a dial at its own limit, and says what it waited for", async () => {
  await using hole = await blackHole();
  await using lab = new PoolLab({ connectTimeoutMs: 50 });
  const pending = lab.place([at(hole.port)]);
  assert.equal(pending.waitsFor, "The TCP connection was not made in time");
  const placement = await pending.placed;
  assert.ok(!placement.ok && placement.failure.verdict.kind === "timeout");
  assert.equal(placement.failure.verdict.detail, "The TCP connection was not made in time");
});

/** Addresses of the loopback network, each a destination of its own. */
function destinations(count: number, port: number): Destination[] {
  return Array.from(
    { length: count },
    (_, index) => at(port, `127.9.${index >> 8}.${index & 255}`),
  );
}

Deno.test("Pool has dials take turns, and counts the time of each from its turn on", async () => {
  await using hole = await blackHole(freePort(), "0.0.0.0");
  await using lab = new PoolLab({ connectTimeoutMs: 300 });
  const places = destinations(100, hole.port).map((destination) => lab.place([destination]));
  const begun = performance.now();
  const waitsFor = places.map(({ waitsForAgent }) => waitsForAgent);
  assert.deepEqual(new Set(waitsFor), new Set([undefined]), "A short wait is not told");
  const ends = await Promise.all(places.map(async ({ placed }) => {
    const placement = await placed;
    assert.ok(!placement.ok && placement.failure.verdict.kind === "timeout");
    return performance.now() - begun;
  }));
  // Sixteen begin at once, and the next when those have been at it for 10 ms.
  assert.ok(Math.max(...ends) >= 300 + 5 * 10, `The last ended after ${Math.max(...ends)} ms`);
});

Deno.test("Pool says when a dial has waited long for its turn: that is the agent's, not the backend's", async () => {
  await using hole = await blackHole(freePort(), "0.0.0.0");
  await using lab = new PoolLab({ connectTimeoutMs: 300, maxConnections: 10_000 });
  const places = destinations(3000, hole.port).map((destination) => lab.place([destination]));
  const last = places.at(-1);
  await eventually("the last to say so", () => last?.waitsForAgent !== undefined);
  assert.equal(last?.waitsForAgent, "The agent had too many connections to make at once");
  assert.equal(places[0]?.waitsForAgent, undefined);
  for (const place of places) place.leave();
});

Deno.test("Pool says when a dial has begun late because there was no room for it", async () => {
  await using hole = await blackHole(freePort(), "0.0.0.0");
  await using lab = new PoolLab({ connectTimeoutMs: 1100, maxConnections: 1 });
  const [first, second] = destinations(2, hole.port).map((destination) => lab.place([destination]));
  assert.equal(second?.waitsForAgent, "All connections that max_channels allows are in use");
  await first?.placed;
  await eventually("the second dial", () => lab.opened === 2);
  assert.equal(second?.waitsForAgent, "The agent had too many connections to make at once");
  second?.leave();
});

Deno.test("Pool does not search among all destinations that wait for room", async () => {
  await using hole = await blackHole(freePort(), "0.0.0.0");
  await using lab = new PoolLab({ maxConnections: 10 });
  const waitFor = (count: number) => {
    const begun = performance.now();
    const places = destinations(count, hole.port).map((destination) => lab.place([destination]));
    for (const place of places) place.leave();
    return performance.now() - begun;
  };
  waitFor(1000);
  const [few, many] = [waitFor(1000), waitFor(16_000)];
  assert.ok(many < 16 * 4 * few, `${Math.round(many)} ms of 16,000, ${Math.round(few)} of 1000`);
});

Deno.test("Pool replaces an old connection once the new one is made, and answers meanwhile", async () => {
  await using peer = healthy();
  await using lab = new PoolLab({ maxAgeMs: 1 });
  await lab.call([at(peer.port)]);
  await eventually("replacements", async () => {
    assert.equal(await lab.call([at(peer.port)]), "response");
    return lab.closed.length >= 3;
  });
  assert.ok(lab.closed.every((reason) => reason === "age"), lab.closed.join());
});

Deno.test("Pool does not answer by an old connection whose successor cannot be made", async () => {
  await using peer = healthy();
  await using lab = new PoolLab({ maxAgeMs: 1 });
  let first: Promise<string> | undefined;
  const port = await singlePeer(peer, (port) => first = lab.call([at(port)]));
  assert.equal(await first, "response");
  await eventually("the replacement", async () => (await lab.call([at(port)])) === "unreachable");
  assert.deepEqual(lab.closed.filter((reason) => reason !== "peer"), ["age"]);
});

Deno.test("Pool keeps a doubted connection whose successor cannot be made, until it is old", async () => {
  await using peer = healthy();
  await using lab = new PoolLab();
  let first: Promise<Placement> | undefined;
  const port = await singlePeer(peer, (port) => first = lab.place([at(port)]).placed);
  const placement = await first;
  assert.ok(placement?.ok);
  await eventually("the answer", () => placement.call.connection.callsUnderWay === 0);
  using time = new FakeTime();
  // Where the clock stands still a pause in dialling would not end.
  const call = () => within("the answer", 5000, lab.call([at(port)]));
  placement.call.connection.doubt();
  for (const failed of [1, 2]) {
    time.passes(5100);
    for (let nth = 0; nth < 3; nth++) assert.equal(await call(), "response");
    await eventually("the dial to fail", () => lab.closed.length === failed);
  }
  time.passes(80_000);
  assert.equal(await call(), "response");
  await eventually("the replacement", async () => (await call()) === "unreachable");
  assert.deepEqual(lab.closed.filter((reason) => reason !== "peer"), ["age"]);
});

Deno.test("Pool has calls wait for a connection that works when another cannot be made beside it", async () => {
  await using peer = new GatedPeer({ greeting: oneStream });
  await using lab = new PoolLab();
  let first: Promise<string> | undefined;
  const port = await singlePeer(peer.server, (port) => first = lab.call([at(port)]));
  await peer.requests(1);
  const second = lab.call([at(port)]);
  await eventually("the dial to fail", () => lab.closed.length === 1);
  await peer.answer();
  await peer.requests(1);
  await peer.answer();
  assert.deepEqual([await first, await second], ["response", "response"]);
});

Deno.test("Pool says that no new connection can be made to a call that may not take the old one", async () => {
  await using peer = new GatedPeer();
  await using lab = new PoolLab();
  let first: Promise<string> | undefined;
  const port = await singlePeer(peer.server, (port) => first = lab.call([at(port)]));
  await peer.requests(1);
  assert.equal(await lab.call([at(port)], { openedAfter: performance.now() }), "unreachable");
  await peer.answer();
  assert.equal(await first, "response");
});

Deno.test("Pool makes a new connection for a call that may not take the silent one for which others wait", async () => {
  let connections = 0;
  await using peer = new PeerServer(async (connection) => {
    const buffer = new Uint8Array(4096);
    const isFirst = ++connections === 1;
    if (!isFirst) await connection.write(settings());
    while (await connection.read(buffer) !== null);
  });
  await using lab = new PoolLab();
  const first = await lab.place([at(peer.port)]).placed;
  assert.ok(first.ok);
  const second = lab.place([at(peer.port)]);
  const third = await lab.place([at(peer.port)], { openedAfter: performance.now() }).placed;
  assert.ok(third.ok && third.call.connection !== first.call.connection);
  const placed = await second.placed;
  assert.ok(placed.ok && placed.call.connection === third.call.connection);
  for (const { call } of [first, third, placed]) call.cancel();
});

Deno.test("Pool gives an exclusive call a connection that has carried no other, and sends no other beside it", async () => {
  await using peer = new GatedPeer();
  await using lab = new PoolLab();
  const shared = lab.call([at(peer.port)]);
  await peer.requests(1);
  const exclusive = lab.call([at(peer.port)], { exclusive: true });
  await peer.requests(2);
  assert.equal(peer.server.connections, 2);
  const beside = lab.call([at(peer.port)]);
  await peer.requests(3);
  assert.equal(peer.server.connections, 2);
  assert.equal(peer.waiting.filter(({ nth }) => nth === 2).length, 1);
  await peer.answer(3);
  assert.deepEqual(await Promise.all([shared, exclusive, beside]), Array(3).fill("response"));
});

Deno.test("Pool sends no further call on a connection that says GOAWAY, and lets its call end", async () => {
  await using peer = new GatedPeer();
  await using lab = new PoolLab();
  const first = lab.call([at(peer.port)]);
  await peer.requests(1);
  await peer.waiting[0]?.send(goaway(1));
  await eventually("the GOAWAY", () => lab.pool.stateOf(at(peer.port)) === undefined);
  const second = lab.call([at(peer.port)]);
  await peer.requests(2);
  assert.equal(peer.server.connections, 2);
  await peer.answer(2);
  assert.deepEqual(await Promise.all([first, second]), ["response", "response"]);
});

Deno.test("Pool ends connections that a reload does not want, once their calls have ended", async () => {
  await using peer = new GatedPeer();
  await using other = healthy();
  const lab = new PoolLab();
  const options = { connectTimeoutMs: 5000, keep: true, idleTimeoutMs: 60_000, maxAgeMs: 60_000 };
  await lab.call([at(other.port)]);
  const call = lab.call([at(peer.port)]);
  await peer.requests(1);
  lab.pool.reconfigure({ ...options, maxConnections: 10 }, ({ port }) => port === other.port);
  assert.equal(lab.closed.length, 0);
  await peer.answer();
  assert.equal(await call, "response");
  await eventually("the end", () => lab.closed.length === 1);
  assert.deepEqual(lab.closed, ["reload"]);
  assert.equal(await lab.call([at(other.port)]), "response");
  assert.equal(lab.opened, 2);
  await lab[Symbol.asyncDispose]();
});

/** As {@linkcode PoolLab} has them. */
const OPTIONS: PoolOptions = {
  connectTimeoutMs: 5000,
  keep: true,
  idleTimeoutMs: 60_000,
  maxConnections: 100,
  maxAgeMs: 60_000,
};

Deno.test("Pool ends a connection that was dialled before a reload and is not wanted after it, once its call has ended", async () => {
  await using peer = healthy();
  await using lab = new PoolLab();
  const call = lab.call([at(peer.port)]);
  lab.pool.reconfigure(OPTIONS, () => false);
  assert.equal(await call, "response");
  await eventually("the end", () => lab.closed.length === 1);
  assert.deepEqual(lab.closed, ["reload"]);
});

Deno.test("Pool ends many connections some at a time, and those no more that another reload wants", async () => {
  await using peer = healthy("0.0.0.0");
  await using lab = new PoolLab();
  const all = Array.from({ length: 100 }, (_, nth) => at(peer.port, `127.0.0.${nth + 1}`));
  await Promise.all(all.map((destination) => lab.call([destination])));
  const countOpen = () => all.filter((to) => lab.pool.stateOf(to) === "ready").length;
  lab.pool.reconfigure(OPTIONS, () => false);
  assert.equal(countOpen(), 84);
  lab.pool.reconfigure(OPTIONS, ({ address }) => address === "127.0.0.100");
  assert.equal(countOpen(), 68);
  await eventually("the end of all but one", () => lab.closed.length === 99);
  assert.equal(countOpen(), 1);
});

Deno.test("Pool closes connections that no call has used for long, and none with a call on it", async () => {
  await using busy = new GatedPeer();
  await using idle = healthy();
  await using lab = new PoolLab({ idleTimeoutMs: 40 });
  const call = lab.call([at(busy.port)]);
  await busy.requests(1);
  await lab.call([at(idle.port)]);
  await eventually("the end of the idle one", () => lab.closed.length === 1);
  assert.deepEqual(lab.closed, ["idle"]);
  assert.equal(lab.pool.stateOf(at(busy.port)), "ready");
  await busy.answer();
  await call;
});

Deno.test("Pool tells how far it is with a destination", async () => {
  await using peer = silent();
  await using lab = new PoolLab();
  const destination = at(peer.port);
  assert.equal(lab.pool.stateOf(destination), undefined);
  const placing = lab.place([destination]);
  assert.equal(lab.pool.stateOf(destination), "connecting");
  const placement = await placing.placed;
  assert.equal(lab.pool.stateOf(destination), "ready");
  assert.ok(placement.ok);
  placement.call.connection.drain("unused");
  assert.equal(lab.pool.stateOf(destination), undefined);
  placement.call.cancel();
});

Deno.test("Pool forgets destinations that nobody asks about, however their calls ended", async () => {
  await using lab = new PoolLab({ idleTimeoutMs: 20 });
  const ports = Array.from({ length: 20 }, () => freePort());
  await Promise.all(ports.map((port) => lab.call([at(port)])));
  assert.equal(lab.closed.length, 20);
  for (const port of ports) assert.equal(lab.pool.stateOf(at(port)), undefined);
});

Deno.test("Pool makes no connection once it is closed", async () => {
  await using hole = await blackHole();
  await using peer = healthy();
  const lab = new PoolLab();
  const waiting = lab.call([at(hole.port), at(peer.port)]);
  await lab[Symbol.asyncDispose]();
  assert.notEqual(await waiting, "response");
  assert.notEqual(await lab.call([at(peer.port)]), "response");
  assert.equal(peer.connections, 0);
});
