import assert from "node:assert/strict";
import { certificateWarning } from "../../../src/tls/client_certificate.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const NOW = new Date("2026-03-01T12:00:00Z");
const at = (days: number) => new Date(NOW.getTime() + days * DAY_MS);

/** When a certificate begins and ends, in days from now, and what is said of it. */
const ROWS: readonly [number, number, string | undefined][] = [
  [-100, 14.01, undefined],
  [-100, 14, "expires in 14 days, at 2026-03-15T12:00:00.000Z"],
  [-100, 1.5, "expires within two days, at 2026-03-03T00:00:00.000Z"],
  [-100, 0.5, "expires within two days, at 2026-03-02T00:00:00.000Z"],
  [-100, 0, "expired at 2026-03-01T12:00:00.000Z"],
  [-100, -1, "expired at 2026-02-28T12:00:00.000Z"],
  [1, 100, "is not valid before 2026-03-02T12:00:00.000Z"],
  [0, 100, undefined],
];

for (const [from, to, expected] of ROWS) {
  Deno.test(`certificateWarning() of one from day ${from} to day ${to}: ${expected ?? "none"}`, () => {
    for (const [profile, setting] of [["", "tls_cert_file"], ["edge", "tls.edge.cert_file"]]) {
      const dates = { validFrom: at(from), validTo: at(to) };
      const certificate = { profile: profile ?? "", subject: "CN=agent", ...dates };
      assert.equal(
        certificateWarning(certificate, NOW),
        expected === undefined ? undefined : `${setting}: the certificate CN=agent ${expected}`,
      );
    }
  });
}
