import fc from "fast-check";
import assert from "node:assert/strict";
import { isIPv4 } from "node:net";
import { isBrokenIPv4, isOldIPv4Spelling, parseHost } from "../../../src/protocol/host.ts";
import { testThatNeeds } from "../../lab/testing/test_that_needs.ts";

/** What the C library reads as an IPv4 address, of the names on standard input. */
const ORACLE = `
import json, socket, sys
def is_address(name):
    try:
        socket.inet_aton(name)
        return True
    except OSError:
        return False
json.dump([is_address(name) for name in json.load(sys.stdin)], sys.stdout)
`;

async function askOracle(names: readonly string[]): Promise<boolean[]> {
  const python = new Deno.Command("python3", {
    args: ["-c", ORACLE],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = python.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(names)));
  await writer.close();
  const { stdout, success } = await python.output();
  assert.ok(success);
  return JSON.parse(new TextDecoder().decode(stdout));
}

function pythonProblem(): string | undefined {
  try {
    if (new Deno.Command("python3", { args: ["-c", ""] }).outputSync().success) return;
  } catch {
    // Not even the program is there.
  }
  return "it takes python3 to ask the C library";
}

/** Labels at the borders of what is a number, and of what fits into one to four bytes. */
const label = fc.oneof(
  fc.constantFrom(
    "0",
    "00",
    "08",
    "0x",
    "0x0",
    "0xg",
    "1e3",
    "0b1",
    "0o7",
    "-1",
    "1_0",
    "a",
    "255",
  ),
  fc.constantFrom("256", "65535", "65536", "16777215", "16777216", "4294967295", "4294967296"),
  fc.integer({ min: 0, max: 300 }).map(String),
  fc.bigInt({ min: 0n, max: 2n ** 70n }).map(String),
  fc.bigInt({ min: 0n, max: 2n ** 34n }).map((number) => `0${number.toString(8)}`),
  fc.bigInt({ min: 0n, max: 2n ** 34n }).map((number) => `0x${number.toString(16)}`),
  fc.stringMatching(/^[0-9a-fx]{1,6}$/),
);

const name = fc.tuple(fc.array(label, { minLength: 1, maxLength: 5 }), fc.constantFrom("", "", "."))
  .map(([labels, end]) => labels.join(".") + end);

testThatNeeds(
  { missing: pythonProblem() },
  "isOldIPv4Spelling() is what inet_aton() of the C library takes, and parseHost() refuses just that",
  async () => {
    const names = fc.sample(name, 20_000);
    const isAddress = await askOracle(names);
    const [addresses, others] = [isAddress.filter(Boolean), isAddress.filter((is) => !is)];
    assert.ok(addresses.length > 1000 && others.length > 1000, "Both kinds are tried");
    for (const [index, host] of names.entries()) {
      assert.equal(isOldIPv4Spelling(host), isAddress[index], host);
      const accepted = isIPv4(host) || !isAddress[index];
      assert.equal(parseHost(host), accepted ? host : undefined, host);
    }
  },
);

for (const text of ["10.0.0.256", "1.2.3.04", "999.1.1.1"]) {
  Deno.test(`isBrokenIPv4() says so of ${text}`, () => assert.ok(isBrokenIPv4(text)));
}

for (const text of ["10.0.0.255", "db.01", "1.2.3", "1.2.3.4.5", "1.2.3.4a", "::1"]) {
  Deno.test(`isBrokenIPv4() does not say so of ${text}`, () => assert.ok(!isBrokenIPv4(text)));
}
