import assert from "node:assert/strict";
import { missingResource } from "../../../src/backend/local_resources.ts";

/** What no destination can cause. */
const LACKING: readonly [code: string, what: RegExp][] = [
  ["EMFILE", /the agent has no file descriptor left/],
  ["ENFILE", /the machine has no file descriptor left/],
  ["ENOBUFS", /no buffer left/],
  ["ENOMEM", /no memory left/],
  ["EADDRNOTAVAIL", /no local port is left/],
];

for (const [code, what] of LACKING) {
  Deno.test(`missingResource() says what is lacking at ${code}, whatever the destination`, () => {
    for (const address of ["127.0.0.1", "192.0.2.1"]) {
      assert.match(missingResource(code, address) ?? "", what);
    }
  });
}

Deno.test("missingResource() leaves to the destination what a firewall, a route or a missing family refuses", () => {
  const codes = ["EPERM", "EACCES", "EINVAL", "EAFNOSUPPORT", "ENETUNREACH", "ECONNREFUSED", ""];
  for (const code of codes) assert.equal(missingResource(code, "127.0.0.1"), undefined, code);
});
