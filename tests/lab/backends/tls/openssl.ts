import { freePort } from "../../machine/free_port.ts";
import { LabProcess } from "../../machine/lab_process.ts";
import { succeeds } from "../../testing/test_that_needs.ts";
import type { CertificateFiles } from "./certificates.ts";

/** Why OpenSSL's program cannot be used here; `undefined` when it can. */
export function opensslProblem(): string | undefined {
  return succeeds("openssl", "version") ? undefined : "it takes Debian's openssl";
}

/** Runs `openssl` with some arguments. */
export async function openssl(...args: string[]): Promise<void> {
  await using process = new LabProcess("openssl", { args });
  const { success } = await process.exited;
  if (!success) throw new Error(`openssl ${args.join(" ")}\n${process.stderr.lines.join("\n")}`);
}

/**
 * Makes a self-signed certificate with a key of any kind.
 *
 * @param key the arguments of `openssl genpkey`: `-algorithm RSA-PSS`
 */
export async function makeSelfSigned(
  directory: string,
  key: readonly string[],
): Promise<CertificateFiles> {
  const files = { cert: `${directory}/self.pem`, key: `${directory}/self.key` };
  await openssl("genpkey", "-out", files.key, ...key);
  const subject = ["-subj", "/CN=self", "-days", "20"];
  await openssl("req", "-x509", "-key", files.key, "-out", files.cert, ...subject);
  return files;
}

/** A TLS server on OpenSSL that offers HTTP/2 and does no more than handshakes. */
export class OpensslServer implements AsyncDisposable {
  readonly port = freePort();
  readonly #process: LabProcess;

  private constructor(
    { cert, key }: CertificateFiles,
    chain: string | undefined,
    more: readonly string[],
  ) {
    this.#process = new LabProcess("openssl", {
      args: [
        ...["s_server", "-accept", `127.0.0.1:${this.port}`, "-alpn", "h2"],
        ...["-cert", cert, "-key", key, ...chain === undefined ? [] : ["-cert_chain", chain]],
        // As old servers are: short keys, SHA-1.
        ...["-cipher", "ALL:@SECLEVEL=0"],
        ...more,
      ],
    });
  }

  /**
   * @param chain a file with the certificates of CAs to send along
   * @param more arguments of `openssl s_server`: `-tls1_2`
   */
  static async start(
    certificate: CertificateFiles,
    chain?: string,
    more: readonly string[] = [],
  ): Promise<OpensslServer> {
    const server = new OpensslServer(certificate, chain, more);
    await server.#process.stdout.waitFor("the server", (line) => line === "ACCEPT" || undefined);
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop(0);
  }
}
