import assert from "node:assert/strict";
import { type BackendRules, parseBackendRules } from "../../src/access/backend_rules.ts";
import { KnownNames } from "../../src/check/known_names.ts";
import { type LookUp, NameLookup } from "../../src/check/name_lookup.ts";
import { Resolver } from "../../src/check/resolve.ts";

/** Look-ups whose ends the test decides, in the order in which they began. */
function controlled() {
  const begun: { name: string; end: (found: LookUp) => void }[] = [];
  const lookUp = (name: string) => {
    const { promise, resolve } = Promise.withResolvers<LookUp>();
    begun.push({ name, end: resolve });
    return promise;
  };
  return { begun, names: new NameLookup(lookUp) };
}

function rules(...texts: string[]): BackendRules {
  const parsed = parseBackendRules(texts);
  assert.ok(parsed.ok);
  return parsed.rules;
}

const FOUND: LookUp = { ok: true, addresses: ["10.0.0.1", "10.1.0.1"] };
const SILENT_MS = 60_000;

Deno.test("NameLookup looks a name up once for all that ask meanwhile, and anew later", async () => {
  const { begun, names } = controlled();
  const asked = [names.find("a"), names.find("a")];
  assert.equal(begun.length, 1);
  begun[0]?.end(FOUND);
  assert.deepEqual(await Promise.all(asked), [FOUND, FOUND]);
  names.find("a");
  assert.equal(begun.length, 2);
});

Deno.test("NameLookup has no more than 16 look-ups under way, and takes the others in their turn", async () => {
  const { begun, names } = controlled();
  const asked = Array.from({ length: 20 }, (_, index) => names.find(`${index}`));
  assert.equal(begun.length, 16);
  begun[3]?.end(FOUND);
  await asked[3];
  assert.deepEqual(begun.slice(16).map(({ name }) => name), ["16"]);
  for (let index = 0; index < 20; index++) {
    begun[index]?.end(FOUND);
    await asked[index];
  }
  assert.equal(begun.length, 20);
  names.find("again");
  assert.equal(begun.length, 21, "the turns were given back");
});

Deno.test("NameLookup finds the names of this machine, and says why it does not find others", async () => {
  const names = new NameLookup();
  const local = await names.find("localhost");
  assert.ok(local.ok && local.addresses.some((address) => ["127.0.0.1", "::1"].includes(address)));
  assert.equal((await names.find("does-not-exist.invalid")).ok, false);
});

Deno.test("Resolver takes an IP address as it is, without a look-up", async () => {
  const { begun, names } = controlled();
  const resolver = new Resolver(rules(), new KnownNames(names), SILENT_MS);
  assert.deepEqual(await resolver.resolve("::1", 1), { ok: true, addresses: ["::1"] });
  assert.equal(begun.length, 0);
});

Deno.test("Resolver leaves only the addresses that may be connected to", async () => {
  const { begun, names } = controlled();
  const resolver = new Resolver(rules("10.1.0.0/16:443"), new KnownNames(names), SILENT_MS);
  const asked = resolver.resolve("api", 443);
  begun[0]?.end(FOUND);
  assert.deepEqual(await asked, { ok: true, addresses: ["10.1.0.1"] });
  const denied = resolver.resolve("elsewhere", 443);
  begun[1]?.end({ ok: true, addresses: ["10.2.0.1"] });
  assert.deepEqual(await denied, { ok: false, verdict: { kind: "denied" } });
});

Deno.test("Resolver does not look up what cannot be allowed", async () => {
  const { begun, names } = controlled();
  const resolver = new Resolver(rules("10.1.0.0/16:443"), new KnownNames(names), SILENT_MS);
  assert.deepEqual(await resolver.resolve("api", 444), { ok: false, verdict: { kind: "denied" } });
  assert.equal(begun.length, 0);
});

Deno.test("Resolver takes the last known addresses when the name server falls silent", async () => {
  const { begun, names } = controlled();
  const resolver = new Resolver(rules(), new KnownNames(names), 1);
  const first = resolver.resolve("api", 1);
  begun[0]?.end(FOUND);
  assert.deepEqual(await first, { ok: true, addresses: ["10.0.0.1", "10.1.0.1"] });
  assert.deepEqual(await resolver.resolve("api", 1), {
    ok: true,
    addresses: ["10.0.0.1", "10.1.0.1"],
  });
  assert.equal(begun.length, 2, "it was asked again");
});

Deno.test("Resolver believes a name server that says the name is gone", async () => {
  const { begun, names } = controlled();
  const resolver = new Resolver(rules(), new KnownNames(names), SILENT_MS);
  const first = resolver.resolve("api", 1);
  begun[0]?.end(FOUND);
  await first;
  const second = resolver.resolve("api", 1);
  begun[1]?.end({ ok: false, detail: "ENOTFOUND", fault: "name" });
  assert.deepEqual(await second, { ok: false, verdict: { kind: "dns", detail: "ENOTFOUND" } });
});

Deno.test("Resolver takes the last known addresses when no name server can be asked", async () => {
  const { begun, names } = controlled();
  const resolver = new Resolver(rules(), new KnownNames(names), SILENT_MS);
  const failed: LookUp = { ok: false, detail: "EAI_AGAIN", fault: "name_server" };
  const unknown = resolver.resolve("api", 1);
  begun[0]?.end(failed);
  assert.deepEqual(await unknown, { ok: false, verdict: { kind: "dns", detail: "EAI_AGAIN" } });
  const first = resolver.resolve("api", 1);
  begun[1]?.end(FOUND);
  await first;
  const second = resolver.resolve("api", 1);
  begun[2]?.end(failed);
  assert.deepEqual(await second, { ok: true, addresses: ["10.0.0.1", "10.1.0.1"] });
});
