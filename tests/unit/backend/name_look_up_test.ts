import assert from "node:assert/strict";
import { hidesFailures, type LookUpResult, NameLookUp } from "../../../src/backend/name_look_up.ts";
import { type BegunLookUp, controlledNames } from "../../lab/unit/controlled_names.ts";
import { FakeTime } from "../../lab/unit/fake_time.ts";

const FOUND: LookUpResult = { ok: true, addresses: ["10.0.0.1", "10.1.0.1"] };
const BOTH: LookUpResult = { ok: true, addresses: ["2001:db8::1", "10.0.0.1"] };
const ONE: LookUpResult = { ok: true, addresses: ["10.0.0.1"] };
const GONE: LookUpResult = { ok: false, detail: "ENOTFOUND", fault: "name" };
const SILENT: LookUpResult = { ok: false, detail: "EAI_AGAIN", fault: "name_server" };

/** Lets what has ended be noticed. */
const turn = () => new Promise((resolve) => setTimeout(resolve));

const inDomain = (domain: string, count: number, prefix = "name") =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}.${domain}`);

Deno.test("NameLookUp looks a name up once for all that ask meanwhile, and anew later", async () => {
  const { begun, names } = controlledNames();
  const asked = [names.find("a"), names.find("a")];
  assert.equal(begun.length, 1);
  begun[0]?.end(FOUND);
  assert.deepEqual(await Promise.all(asked), [FOUND, FOUND]);
  names.find("a");
  assert.equal(begun.length, 2);
});

Deno.test("NameLookUp has no more than 16 look-ups under way, and takes the others in their turn", async () => {
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

Deno.test("NameLookUp finds the names of this machine, and says why it does not find others", async () => {
  const names = new NameLookUp();
  const local = await names.find("localhost");
  assert.ok(local.ok && local.addresses.some((address) => ["127.0.0.1", "::1"].includes(address)));
  assert.equal((await names.find("does-not-exist.invalid")).ok, false);
});

Deno.test("NameLookUp refuses a name when ten thousand wait, as a fault of the agent", async () => {
  const { begun, names } = controlledNames();
  const asked = Array.from({ length: 10_016 }, (_, index) => names.find(`${index}`));
  const detail = "Too many names are being looked up";
  assert.deepEqual(await names.find("one too many"), { ok: false, detail, fault: "local" });
  for (let index = 0; index < asked.length; index++) {
    begun[index]?.end(FOUND);
    assert.deepEqual(await asked[index], FOUND);
  }
  names.find("again");
  assert.equal(begun.length, 10_017);
});

/** Looks names up, and ends what has begun of them after a time that passes, until all have ended. */
async function lookUpAll(
  { begun, names }: ReturnType<typeof controlledNames>,
  asked: readonly string[],
  found: LookUpResult,
  pass = () => {},
): Promise<void> {
  const answers = asked.map((name) => names.find(name));
  const left = new Set(asked);
  while (left.size > 0) {
    pass();
    for (const { name, end } of [...begun]) if (left.delete(name)) end(found);
    await turn();
  }
  await Promise.all(answers);
  begun.length = 0;
}

const namesOf = (begun: readonly BegunLookUp[]) => begun.map(({ name }) => name);

Deno.test("NameLookUp: new names of a silent domain leave turns to other domains and to known names", async () => {
  using time = new FakeTime();
  const lab = controlledNames();
  await lookUpAll(lab, ["known.silent"], FOUND);
  const { begun, names } = lab;
  for (const name of inDomain("silent", 100)) void names.find(name);
  assert.equal(begun.length, 16);
  time.passes(5000);
  void names.find("new.other");
  void names.find("known.silent");
  assert.deepEqual(namesOf(begun).slice(16), ["new.other", "known.silent"]);
  for (const name of inDomain("third", 100)) void names.find(name);
  assert.equal(begun.length, 16 + 2 + 3, "20 that are not known, and the one that is");
});

Deno.test("NameLookUp: names that hung are overtaken by others, and hold 8 turns at most", async () => {
  using time = new FakeTime();
  const lab = controlledNames();
  const { begun, names } = lab;
  const hung = inDomain("silent", 40);
  await lookUpAll(lab, hung, SILENT, () => time.passes(1000));
  for (const name of hung) void names.find(name);
  assert.equal(begun.length, 8);
  void names.find("new.silent");
  assert.equal(namesOf(begun)[8], "new.silent");
  begun[8]?.end(FOUND);
  await turn();
  assert.equal(begun.length, 9);
  for (let nth = 0; nth < 40; nth++) {
    begun.filter(({ name }) => name !== "new.silent")[nth]?.end(FOUND);
    await turn();
  }
  begun.length = 0;
  for (const name of hung) void names.find(name);
  assert.equal(begun.length, 16, "they are answered again");
});

Deno.test("NameLookUp has domains take turns", async () => {
  const { begun, names } = controlledNames();
  for (const name of inDomain("busy", 100)) void names.find(name);
  for (const domain of ["b", "c", "d", "e"]) void names.find(`x.${domain}`);
  void names.find("late.f");
  void names.find("later.f");
  assert.equal(begun.length, 20);
  for (let nth = 0; nth < 3; nth++) {
    begun[nth]?.end(FOUND);
    await turn();
  }
  assert.deepEqual(namesOf(begun).slice(20), ["name-16.busy", "late.f", "name-17.busy"]);
});

Deno.test("NameLookUp never has more than 24 look-ups under way", async () => {
  const lab = controlledNames();
  const known = ["a", "b", "c"].flatMap((domain) => inDomain(domain, 12));
  await lookUpAll(lab, known, FOUND);
  for (const name of known) void lab.names.find(name);
  assert.equal(lab.begun.length, 24);
});

Deno.test("PendingLookUp tells how long a name has waited for its turn, and not how long it takes", async () => {
  using time = new FakeTime();
  const { begun, names } = controlledNames();
  const [first, ...others] = inDomain("busy", 17).map((name) => {
    void names.find(name);
    return names.pending(name);
  });
  const last = others.at(-1);
  assert.ok(first && last);
  const since = performance.now();
  time.passes(300);
  assert.deepEqual([first.queuedMs(since), last.queuedMs(since)], [0, 300]);
  assert.equal(last.queuedMs(since + 200), 100);
  begun[0]?.end(FOUND);
  await turn();
  time.passes(999);
  assert.equal(last.queuedMs(since), 300);
  time.passes(1);
  assert.equal(last.queuedMs(since), 0, "the name itself hangs");
});

Deno.test("PendingLookUp does not blame the turn of a name that hung before", async () => {
  using time = new FakeTime();
  const lab = controlledNames();
  const hung = inDomain("silent", 9);
  await lookUpAll(lab, hung, SILENT, () => time.passes(1000));
  for (const name of hung) void lab.names.find(name);
  time.passes(500);
  assert.equal(lab.names.pending("name-8.silent")?.queuedMs(0), 0);
});

/** Longer than a look-up of both families is waited for. */
const ipv4IsAsked = () => new Promise((resolve) => setTimeout(resolve, 330));

Deno.test("NameLookUp asks for IPv4 alone when the look-up of both families hangs", async () => {
  const { begun, names } = controlledNames();
  const answer = names.find("api.z");
  await ipv4IsAsked();
  assert.deepEqual(begun.map(({ family }) => family), [0, 4]);
  begun[1]?.end(ONE);
  assert.deepEqual(await answer, ONE);
  // From now on the whole domain is asked so.
  const other = names.find("other.z");
  assert.equal(begun[2]?.family, 4);
  begun[2]?.end(ONE);
  assert.deepEqual(await other, ONE);
});

Deno.test("NameLookUp asks for both families of a name that has no IPv4 address", async () => {
  const { begun, names } = controlledNames();
  void names.find("api.z");
  await ipv4IsAsked();
  begun[1]?.end(ONE);
  await turn();
  const answer = names.find("ipv6.z");
  begun[2]?.end(GONE);
  await turn();
  assert.equal(begun[3]?.family, 0);
  begun[3]?.end(BOTH);
  assert.deepEqual(await answer, BOTH);
});

for (
  const [what, ipv4, both] of [
    ["the name server is silent", SILENT, SILENT],
    ["the name has no IPv4 address", GONE, BOTH],
    ["the name does not exist", GONE, GONE],
  ] as const
) {
  Deno.test(`NameLookUp waits for both families when ${what}`, async () => {
    const { begun, names } = controlledNames();
    const answer = names.find("api.z");
    await ipv4IsAsked();
    begun[1]?.end(ipv4);
    await turn();
    begun[0]?.end(both);
    assert.deepEqual(await answer, both);
    void names.find("other.z");
    assert.equal(begun[2]?.family, 0);
  });
}

Deno.test("NameLookUp takes slow IPv6 addresses in at the next look-up", async () => {
  const { begun, names } = controlledNames();
  const answer = names.find("api.z");
  await ipv4IsAsked();
  begun[1]?.end(ONE);
  await answer;
  begun[0]?.end(BOTH);
  await turn();
  const next = names.find("api.z");
  assert.equal(begun[2]?.family, 0);
  begun[2]?.end(BOTH);
  assert.deepEqual(await next, BOTH);
  // Known IPv6 addresses are not given up for a look-up that hangs.
  void names.find("api.z");
  await ipv4IsAsked();
  assert.equal(begun.length, 4);
});

Deno.test("NameLookUp has one name of a domain try IPv6 again after five minutes", async () => {
  using time = new FakeTime();
  const { begun, names } = controlledNames();
  void names.find("api.z");
  await ipv4IsAsked();
  begun[1]?.end(ONE);
  await turn();
  time.passes(300_000);
  for (const name of ["a.z", "b.z"]) void names.find(name);
  await turn();
  assert.deepEqual(begun.slice(2).map(({ family }) => family), [0, 4]);
  begun[2]?.end(ONE);
  await turn();
  void names.find("c.z");
  assert.equal(begun[4]?.family, 0, "IPv6 is answered again");
});

Deno.test("NameLookUp begins one look-up of IPv4 alone in a domain, and none that is not needed any more", async () => {
  const { begun, names } = controlledNames();
  const answers = inDomain("slow", 3).map((name) => names.find(name));
  await ipv4IsAsked();
  assert.deepEqual(begun.map(({ family }) => family), [0, 0, 0, 4]);
  for (const { end } of begun.slice(0, 3)) end(ONE);
  assert.deepEqual(await Promise.all(answers), [ONE, ONE, ONE]);
  begun[3]?.end(ONE);
  await turn();
  assert.equal(begun.length, 4);
});

const IPV6: LookUpResult = { ok: true, addresses: ["2001:db8::2"] };

for (
  const [what, known, found, alone, answer] of [
    ["keeps known IPv4 addresses where the name server fails for them", BOTH, IPV6, {
      4: SILENT,
    }, { ok: true, addresses: ["2001:db8::2", "10.0.0.1"] }],
    ["adds the IPv4 addresses that a second look-up finds", BOTH, IPV6, {
      4: ONE,
    }, { ok: true, addresses: ["2001:db8::2", "10.0.0.1"] }],
    ["gives up IPv4 addresses that the name has no more", BOTH, IPV6, { 4: GONE }, IPV6],
    ["says that the name server has failed, and not that a known name is gone", ONE, GONE, {
      4: SILENT,
    }, SILENT],
    ["asks for known IPv6 addresses by themselves too", BOTH, GONE, { 4: GONE, 6: SILENT }, SILENT],
    ["says of a known name that it is gone once each family is", BOTH, GONE, {
      4: GONE,
      6: GONE,
    }, GONE],
    ["asks no more than once where the name server has failed for both", BOTH, SILENT, {}, SILENT],
  ] as const satisfies readonly [
    string,
    LookUpResult,
    LookUpResult,
    Record<number, LookUpResult>,
    LookUpResult,
  ][]
) {
  Deno.test(`NameLookUp ${what}`, async () => {
    const { begun, names } = controlledNames();
    const first = names.find("api");
    begun[0]?.end(known);
    await first;
    const asked = names.find("api");
    begun[1]?.end(found);
    for (const [nth, [family, result]] of Object.entries(alone).entries()) {
      await turn();
      assert.equal(begun[2 + nth]?.family, Number(family));
      begun[2 + nth]?.end(result);
    }
    assert.deepEqual(await asked, answer);
    assert.equal(begun.length, 2 + Object.keys(alone).length);
  });
}

Deno.test("NameLookUp asks once for a name that was never found", async () => {
  const { begun, names } = controlledNames();
  for (let nth = 0; nth < 2; nth++) {
    const asked = names.find("api");
    begun[nth]?.end(GONE);
    assert.deepEqual(await asked, GONE);
  }
  assert.equal(begun.length, 2);
});

for (
  const [hosts, hides] of [
    ["files dns", false],
    ["", false],
    ["files myhostname dns", false],
    ["files mymachines resolve [!UNAVAIL=return] dns", false],
    ["files dns [NOTFOUND=return]", false],
    ["files dns [!SUCCESS=return] myhostname", false],
    ["files dns myhostname", true],
    ["files dns [NOTFOUND=return] myhostname", true],
    ["files DNS  wins", true],
  ] as const
) {
  Deno.test(`hidesFailures() says ${hides} of "hosts: ${hosts}"`, () => {
    assert.equal(hidesFailures(hosts), hides);
  });
}
