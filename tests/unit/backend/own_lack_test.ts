import assert from "node:assert/strict";
import { ownLack } from "../../../src/backend/own_lack.ts";

/** What no destination can cause. */
const LACKING: readonly [code: string, what: RegExp][] = [
  ["EMFILE", /the agent has no file descriptor left/],
  ["ENFILE", /the machine has no file descriptor left/],
  ["ENOBUFS", /no buffer left/],
  ["ENOMEM", /no memory left/],
  ["EADDRNOTAVAIL", /no local port is left/],
];

for (const [code, what] of LACKING) {
  Deno.test(`ownLack() says what is lacking at ${code}, whatever the destination`, () => {
    for (const address of ["127.0.0.1", "192.0.2.1"]) {
      assert.match(ownLack(code, address) ?? "", what);
    }
  });
}

Deno.test("ownLack() leaves to the destination what a firewall, a route or a missing family refuses", () => {
  const codes = ["EPERM", "EACCES", "EINVAL", "EAFNOSUPPORT", "ENETUNREACH", "ECONNREFUSED", ""];
  for (const code of codes) assert.equal(ownLack(code, "127.0.0.1"), undefined, code);
});
