import assert from "node:assert/strict";
import { type LookUp, NameLookup } from "../../../src/backend/name_lookup.ts";
import { controlledNames } from "../../lab/unit/controlled_names.ts";

const FOUND: LookUp = { ok: true, addresses: ["10.0.0.1", "10.1.0.1"] };

Deno.test("NameLookup looks a name up once for all that ask meanwhile, and anew later", async () => {
  const { begun, names } = controlledNames();
  const asked = [names.find("a"), names.find("a")];
  assert.equal(begun.length, 1);
  begun[0]?.end(FOUND);
  assert.deepEqual(await Promise.all(asked), [FOUND, FOUND]);
  names.find("a");
  assert.equal(begun.length, 2);
});

Deno.test("NameLookup has no more than 16 look-ups under way, and takes the others in their turn", async () => {
  const { begun, names } = controlledNames();
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

Deno.test("NameLookup refuses a name when ten thousand wait, for that is its own fault", async () => {
  const { begun, names } = controlledNames();
  const asked = Array.from({ length: 10_016 }, (_, index) => names.find(`${index}`));
  const detail = "Too many names are being looked up";
  assert.deepEqual(await names.find("one too many"), { ok: false, detail, fault: "own_lack" });
  for (let index = 0; index < asked.length; index++) {
    begun[index]?.end(FOUND);
    assert.deepEqual(await asked[index], FOUND);
  }
  names.find("again");
  assert.equal(begun.length, 10_017);
});
