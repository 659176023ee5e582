import { createHash, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import { codeOf, reasonOf } from "../describe_error.ts";
import { handshakeProblem, keyMismatch } from "./client_certificate.ts";
import {
  canBeParsed,
  certificatesOf,
  holdsPrivateKey,
  pemOf,
  type PrivateKey,
  privateKeyOf,
  usableCertificatesOf,
} from "./encoding.ts";

/**
 * Where the systems keep the CAs of the machine in one file: those of Go (crypto/x509, root_linux.go and
 * root_bsd.go), and what they are links to where the link may be missing.
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
 * The CAs of the machine: those of the file that `SSL_CERT_FILE` names, as for OpenSSL, or else of the first
 * that is found where the systems keep it. Nothing stands in where there are none: Deno has Mozilla's list
 * and gives it only with a permission (`--allow-sys`) that shows far more of the machine.
 *
 * What is cut off or broken in the file is left out, since it may be a single one of many.
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
   * Looks for them, once. Nothing is read after it.
   *
   * @throws what reading a file throws for want of a descriptor: nothing is known of the file then
   */
  find(): void {
    this.#find();
  }

  /** Why there are none; `undefined` where there are. */
  get problem(): string | undefined {
    return this.#find().problem;
  }

  /** What cannot be used of them; `undefined` where all can, and before they have been looked for. */
  get warning(): string | undefined {
    return this.#found?.warning;
  }

  /** Each as a PEM block; parsed at the first call: most agents never speak TLS. */
  get certificates(): readonly string[] {
    if (this.#certificates !== undefined) return this.#certificates;
    const { certificates } = this.#find();
    this.#certificates = certificates.filter(canBeParsed).map(pemOf);
    if (certificates.length > 0 && this.#certificates.length === 0) {
      this.#found = { certificates: [], problem: "none of those that it has can be read" };
    }
    return this.#certificates;
  }

  #find(): FoundCas {
    return this.#found ??= this.#look();
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
   * @throws {Error} where {@linkcode TlsProfile.lacksCas}, with what to do about it, or no CA is in date
   */
  readonly context: () => SecureContext;
  /**
   * Equal for two profiles exactly when the same is trusted, shown and demanded: the certificates and
   * the key themselves, whatever their files are called, and the settings. So connections can be kept
   * where a reload changes nothing for them. Worked out when first asked for; never throws.
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
  // Not at the first check: by then the file may be gone, or no descriptor be left to read it.
  if (needsMachineCas) machineCas.find();
  // Without verification no CA is asked about anything.
  const trusted = () => insecureSkipVerify ? [] : ca ?? machineCas.certificates;
  let made: { readonly context: SecureContext; readonly until: number } | undefined;
  const context = () => {
    const now = Date.now();
    if (made !== undefined && now < made.until) return made.context;
    const { inDate, until } = inDateAt(now, trusted());
    const { lacksCas } = profile;
    if (lacksCas !== undefined) throw new Error(lacksCas);
    if (inDate.length === 0 && !insecureSkipVerify) {
      throw new Error("Every CA certificate to verify with has expired, or is not valid yet");
    }
    made = { context: createSecureContext({ ca: inDate, ...own }), until };
    return made.context;
  };
  const fingerprint = once(() => fingerprintOf(settings, trusted(), pems, key?.pem ?? ""));
  const profile: TlsProfile = {
    name,
    settings,
    chain,
    context,
    get lacksCas() {
      const problem = needsMachineCas ? machineCas.problem : undefined;
      if (problem === undefined) return undefined;
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

/**
 * OpenSSL, and so HAProxy, takes nothing that a CA has issued which is out of date itself; rustls does not look.
 *
 * @param now in milliseconds since 1970
 * @returns the CAs that are in date, and until when they are all of them
 */
function inDateAt(
  now: number,
  cas: readonly string[],
): { readonly inDate: string[]; readonly until: number } {
  let until = Infinity;
  const inDate = cas.filter((pem) => {
    const { validFrom, validTo } = new X509Certificate(pem);
    const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
    for (const change of [from, to]) if (change > now) until = Math.min(until, change);
    return from <= now && now < to;
  });
  return { inDate, until };
}

function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}
