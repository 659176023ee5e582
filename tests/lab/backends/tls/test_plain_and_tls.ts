import type { ScriptedServerOptions } from "../peers/scripted_server.ts";
import { CertificateAuthority } from "./certificates.ts";

/** The name in the certificate, and the authority of a server's lines unless a test says otherwise. */
const NAME = "backend.test";

/** How servers and the agent speak with each other in one run of a test. */
export interface Transport {
  readonly ssl: boolean;
  /** Flags with which the agent trusts the servers; none without TLS. */
  readonly flags: readonly string[];
  /** What a {@linkcode ScriptedServer} takes to speak TLS, with h2 by ALPN; nothing without TLS. */
  readonly server: Pick<ScriptedServerOptions, "tls">;
}

/** A test that is run twice, without TLS and with it. */
export function testPlainAndTls(
  name: string,
  test: (transport: Transport, t: Deno.TestContext) => Promise<void>,
): void {
  Deno.test(`${name}: plain`, (t) => test({ ssl: false, flags: [], server: {} }, t));
  Deno.test(`${name}: TLS`, async (t) => {
    await using authority = await CertificateAuthority.create();
    const files = await authority.issueServer(NAME);
    const flags = ["--tls-ca-file", authority.caFile];
    await test({ ssl: true, flags, server: { tls: { ...files, alpn: ["h2"] } } }, t);
  });
}
