import { createHash, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import { codeOf, reasonOf } from "../describe_error.ts";
import { handshakeProblem, keyMismatch } from "./client_certificate.ts";
import { certificatesOf, holdsPrivateKey, type PrivateKey, privateKeyOf } from "./encoding.ts";

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

/** What a TLS profile is made of: paths of PEM files and how to check the backend. */
export interface TlsProfileSettings {
  /** CAs to trust; without it, those of the machine. */
  readonly caFile?: string | undefined;
  /** Client certificate with its chain; comes with `keyFile`. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** SNI and the name looked for in the certificate, instead of the request's. */
  readonly serverName?: string | undefined;
  /** Takes any certificate. */
  readonly insecureSkipVerify?: boolean | undefined;
  /** Refuses a server that does not offer HTTP/2 (ALPN). @default {true} */
  readonly requireAlpn?: boolean | undefined;
}

/** A file that cannot be used: which one it is, its path, and why. */
export interface TlsFileMistake {
  readonly setting: "ca_file" | "cert_file" | "key_file";
  readonly path: string;
  readonly reason: string;
}

/** TLS towards backends, ready to be used. */
export interface TlsProfile {
  readonly name: string;
  readonly settings: TlsProfileSettings;
  /** The client certificate, and behind it those of CAs that are sent along; empty without one. */
  readonly chain: readonly X509Certificate[];
  /** Why no backend can be verified: the machine's CAs are needed, and there are none. */
  readonly lacksCas: string | undefined;
  /**
   * CAs and client certificate, parsed at the first call: most agents never speak TLS.
   *
   * @throws {Error} where {@linkcode TlsProfile.lacksCas}, with what to do about it
   */
  readonly context: () => SecureContext;
  /**
   * Equal for two profiles exactly when the same is trusted, shown and demanded: the certificates and
   * the key themselves, whatever their files are called, and the settings. So connections can be kept
   * where a reload changes nothing for them. Worked out when first asked for.
   */
  readonly fingerprint: string;
}

/** A TLS profile, or all of its files that cannot be used. */
export type LoadedTlsProfile =
  | { readonly ok: true; readonly profile: TlsProfile }
  | { readonly ok: false; readonly mistakes: readonly TlsFileMistake[] };

/**
 * Reads the files of a TLS profile, and tries a client certificate out. Node takes any text for CAs,
 * certificate and key, and fails at each handshake instead.
 *
 * @param name the profile's name in requests (`tls=NAME`); empty for the one without a name
 * @param readTextFile reads a file; throws when it cannot
 * @param machineCas the CAs that are trusted where no `caFile` is set
 */
export async function loadTlsProfile(
  name: string,
  settings: TlsProfileSettings,
  readTextFile: (path: string) => string,
  machineCas: MachineCas,
): Promise<LoadedTlsProfile> {
  const { caFile, certFile, insecureSkipVerify = false } = settings;
  // HAProxy's `crt` has certificate and key in one file.
  const keyFile = settings.keyFile ?? certFile;
  const mistakes: TlsFileMistake[] = [];
  const read = <Content>(
    setting: TlsFileMistake["setting"],
    path: string | undefined,
    parse: (text: string) => Content,
  ): Content | undefined => {
    if (path === undefined) return undefined;
    try {
      return parse(readTextFile(path));
    } catch (error) {
      mistakes.push({ setting, path, reason: reasonOf(error) });
      return undefined;
    }
  };
  const ca = read("ca_file", caFile, certificatesOf);
  const pems = read("cert_file", certFile, certificatesOf) ?? [];
  const chain = pems.map((pem) => new X509Certificate(pem));
  const key = settings.keyFile === undefined
    ? pems.length === 0 ? undefined : read("cert_file", certFile, keyBesideCertificate)
    : read("key_file", keyFile, privateKeyOf);
  const own = key === undefined ? {} : { cert: pems.join("\n"), key: key.pem };
  if (key !== undefined && keyFile !== undefined && chain.length > 0) {
    const setting = settings.keyFile === undefined ? "cert_file" : "key_file";
    const reason = keyMismatch(chain, key.key) ?? await handshakeProblem(own, chain);
    if (reason !== undefined) mistakes.push({ setting, path: keyFile, reason });
  }
  if (mistakes.length > 0) return { ok: false, mistakes };
  const needsMachineCas = ca === undefined && !insecureSkipVerify;
  // Without verification no CA is asked about anything.
  const trusted = () => insecureSkipVerify ? [] : ca ?? machineCas.certificates;
  const context = once(() => {
    const { lacksCas } = profile;
    if (lacksCas !== undefined) throw new Error(lacksCas);
    return createSecureContext({ ca: [...trusted()], ...own });
  });
  const fingerprint = once(() => fingerprintOf(settings, trusted(), pems, key?.pem ?? ""));
  const profile: TlsProfile = {
    name,
    settings,
    chain,
    context,
    get lacksCas() {
      const { problem } = machineCas;
      if (!needsMachineCas || problem === undefined) return undefined;
      const setting = name === "" ? "tls_ca_file" : `tls.${name}.ca_file`;
      return "The agent's machine has no CA certificates to verify with: set " +
        `${setting}, or install ca-certificates (${problem})`;
    },
    get fingerprint() {
      return fingerprint();
    },
  };
  return { ok: true, profile };
}

function keyBesideCertificate(text: string): PrivateKey {
  if (!holdsPrivateKey(text)) {
    throw new Error("there is no private key in it, and no key_file is set: they come together");
  }
  return privateKeyOf(text);
}

function fingerprintOf(
  { serverName, insecureSkipVerify, requireAlpn }: TlsProfileSettings,
  trusted: readonly string[],
  chain: readonly string[],
  key: string,
): string {
  // JSON keeps apart what stands in different places; the names of files are left out.
  const flags = [serverName ?? null, insecureSkipVerify === true, requireAlpn !== false];
  return createHash("sha256").update(JSON.stringify([flags, trusted, chain, key])).digest("hex");
}

function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}
