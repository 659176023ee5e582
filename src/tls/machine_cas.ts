import { codeOf, reasonOf } from "../describe_error.ts";
import { canBeParsed, pemOf, usableCertificatesOf } from "./pem.ts";

/**
 * The files in which systems keep the machine's CAs: those that Go reads (crypto/x509, root_linux.go and
 * root_bsd.go), and the targets of those that are links, since the link may be missing.
 */
const FILES = [
  "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Alpine, Arch, Gentoo, NixOS
  "/etc/pki/tls/certs/ca-bundle.crt", // Fedora up to 43, RHEL up to 10
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
  "/etc/ssl/ca-bundle.pem", // openSUSE, SLES
  "/var/lib/ca-certificates/ca-bundle.pem", // the same
  "/etc/ca-certificates/extracted/tls-ca-bundle.pem", // Arch
  "/etc/pki/tls/cacert.pem", // OpenELEC
  "/etc/ssl/cert.pem", // Alpine, OpenBSD, macOS
  "/usr/local/etc/ssl/cert.pem", // FreeBSD
  "/usr/local/share/certs/ca-root-nss.crt", // the same
  "/etc/openssl/certs/ca-certificates.crt", // NetBSD
];

/** What was found of the CAs of the machine. */
interface FoundCas {
  /** The DER of each. */
  readonly certificates: readonly Uint8Array[];
  /** Why there are none. */
  readonly problem?: string | undefined;
  /** What is left out of the file that is used. */
  readonly warning?: string | undefined;
}

/**
 * The CAs of the machine: those in the file that `SSL_CERT_FILE` names, as for OpenSSL, or else in the first that is
 * found of {@linkcode FILES}. There is no other list to fall back on: Deno gives Mozilla's only with a permission
 * (`--allow-sys`) that shows far more of the machine.
 *
 * What is cut off or broken in the file is left out, since it may be one certificate of many.
 */
export class MachineCas {
  readonly #files: readonly string[];
  readonly #isNamed: boolean;
  readonly #hint: string;
  readonly #readTextFile: (path: string) => string;
  #found: FoundCas | undefined;
  #certificates: readonly string[] | undefined;

  /**
   * Reads nothing yet.
   *
   * @param readTextFile reads a file; throws when it cannot
   */
  constructor(
    environment: Readonly<Record<string, string>>,
    readTextFile: (path: string) => string,
  ) {
    const named = environment["SSL_CERT_FILE"] ?? "";
    this.#isNamed = named !== "";
    this.#files = this.#isNamed ? [named] : FILES;
    this.#hint = (environment["SSL_CERT_DIR"] ?? "") === "" ? "" : ", and SSL_CERT_DIR is not read";
    this.#readTextFile = readTextFile;
  }

  /**
   * Looks for them at the first call. Nothing is read later.
   *
   * @throws where a file cannot be read because no descriptor is left; then the next call tries again
   */
  find(): FoundCas {
    return this.#found ??= this.#look();
  }

  /** Why there are none; `undefined` where there are. */
  get problem(): string | undefined {
    return this.find().problem;
  }

  /** Which of them cannot be used; `undefined` where all can, and before {@linkcode find}. */
  get warning(): string | undefined {
    return this.#found?.warning;
  }

  /** Each as a PEM block. They are parsed at the first use, since most agents never speak TLS. */
  get certificates(): readonly string[] {
    if (this.#certificates !== undefined) return this.#certificates;
    const { certificates } = this.find();
    this.#certificates = certificates.filter(canBeParsed).map(pemOf);
    if (certificates.length > 0 && this.#certificates.length === 0) {
      this.#found = { certificates: [], problem: "none of those that it has can be read" };
    }
    return this.#certificates;
  }

  #look(): FoundCas {
    const problems: string[] = [];
    for (const file of this.#files) {
      const name = this.#isNamed ? `SSL_CERT_FILE, ${file}` : file;
      let text: string;
      try {
        text = this.#readTextFile(file);
      } catch (error) {
        if (["EMFILE", "ENFILE"].includes(codeOf(error))) throw error;
        if (this.#isNamed) problems.push(`${name}: ${reasonOf(error)}`);
        continue;
      }
      const { certificates, problem } = usableCertificatesOf(text);
      if (certificates.length > 0) {
        const warning = problem && `${name}: CA certificates in it are left out: ${problem}`;
        return { certificates, warning };
      }
      problems.push(`${name}: ${problem}`);
    }
    if (!this.#isNamed) problems.push(`none of ${this.#files.join(", ")} has any${this.#hint}`);
    return { certificates: [], problem: problems.join("; ") };
  }
}
