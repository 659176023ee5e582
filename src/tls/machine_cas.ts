import { codeOf, reasonOf } from "../describe_error.ts";
import { certificatesOf } from "./pem.ts";

/** Where the systems keep the CAs of the machine in one file: Debian, Fedora, openSUSE, Alpine. */
const FILES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * The CAs of the machine: those of the file that `SSL_CERT_FILE` names, as for OpenSSL, or else of the first
 * that is found where the systems keep it. Nothing stands in where there are none: Deno has Mozilla's list
 * and gives it only with a permission (`--allow-sys`) that shows far more of the machine.
 */
export class MachineCas {
  readonly #files: readonly string[];
  readonly #isNamed: boolean;
  readonly #readTextFile: (path: string) => string;
  #found: { readonly file?: string; readonly problem?: string } | undefined;
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
    this.#readTextFile = readTextFile;
  }

  /** Why there are none; `undefined` where there are. Looked for once. */
  get problem(): string | undefined {
    return this.#find().problem;
  }

  /** Each as a PEM block; read and parsed once. One that cannot be read is left out. */
  get certificates(): readonly string[] {
    const { file } = this.#find();
    return this.#certificates ??= file === undefined
      ? []
      : certificatesOf(this.#readTextFile(file), "skip");
  }

  /** The text is not kept: most agents never speak TLS. */
  #find(): { readonly file?: string; readonly problem?: string } {
    if (this.#found !== undefined) return this.#found;
    let reason = "there is no certificate in it";
    const file = this.#files.find((file) => {
      try {
        return /-----BEGIN (TRUSTED )?CERTIFICATE-----/.test(this.#readTextFile(file));
      } catch (error) {
        // Without a descriptor nothing is known of the file.
        if (["EMFILE", "ENFILE"].includes(codeOf(error))) throw error;
        reason = reasonOf(error);
        return false;
      }
    });
    return this.#found = file !== undefined ? { file } : {
      problem: this.#isNamed
        ? `SSL_CERT_FILE, ${this.#files[0]}: ${reason}`
        : `none of ${this.#files.join(", ")} has any`,
    };
  }
}
