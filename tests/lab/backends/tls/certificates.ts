import "./reflect_metadata.ts";
import { isIP } from "node:net";
import * as x509 from "@peculiar/x509";

/** The key algorithm of every test certificate: small and quick to make. */
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

const DAY_MS = 24 * 60 * 60 * 1000;

/** Paths of a certificate and its private key, both PEM. */
export interface CertificateFiles {
  cert: string;
  key: string;
}

/** What a certificate says. */
export interface IssueOptions {
  /**
   * Subject alternative names; a text that is an IP address is written as one, any other as a DNS name.
   * @default {[]}
   */
  names?: (string | x509.JsonGeneralName)[];
  /** "server" or "client" authentication. @default {"server"} */
  use?: "server" | "client";
  /** Whether it ended yesterday. @default {false} */
  expired?: boolean;
  /** When it begins, in days from now. @default {-20} */
  fromDays?: number;
  /** When it ends, in days from now. @default {20} */
  toDays?: number;
  /** Whether it says that it is a CA's, CA:TRUE. @default {false} */
  ca?: boolean;
  /** Extensions beyond the usual ones. @default {[]} */
  extensions?: x509.Extension[];
}

/** A certificate authority of one test, with a directory of its own for the files. */
export class CertificateAuthority implements AsyncDisposable {
  /** The directory that holds every file; it goes with the authority. */
  readonly directory: string;
  /** Path of the authority's certificate. */
  readonly caFile: string;
  #certificate: x509.X509Certificate;
  #keys: CryptoKeyPair;
  #issued = 0;

  private constructor(
    directory: string,
    certificate: x509.X509Certificate,
    keys: CryptoKeyPair,
  ) {
    this.directory = directory;
    this.caFile = `${directory}/ca.pem`;
    this.#certificate = certificate;
    this.#keys = keys;
  }

  /**
   * Makes an authority with a key of its own: two of the same name do not trust each other.
   *
   * @param toDays when its certificate ends, in days from now
   */
  static async create(name = "Test authority", toDays = 30): Promise<CertificateAuthority> {
    return await CertificateAuthority.#create(name, undefined, [], toDays);
  }

  /** Makes an authority below this one. @param extensions of its certificate, beyond the usual ones */
  async createBelow(
    name: string,
    extensions: x509.Extension[] = [],
  ): Promise<CertificateAuthority> {
    return await CertificateAuthority.#create(name, this, extensions, 30);
  }

  static async #create(
    name: string,
    above: CertificateAuthority | undefined,
    extensions: x509.Extension[],
    toDays: number,
  ): Promise<CertificateAuthority> {
    const keys = await generateKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: above === undefined ? `CN=${name}` : above.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: (above === undefined ? keys : above.#keys).privateKey,
      signingAlgorithm: ALGORITHM,
      notBefore: new Date(Date.now() - 30 * DAY_MS),
      notAfter: new Date(Date.now() + toDays * DAY_MS),
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        ...extensions,
      ],
    });
    const directory = await Deno.makeTempDir({ prefix: "certificates-" });
    const authority = new CertificateAuthority(directory, certificate, keys);
    await Deno.writeTextFile(authority.caFile, certificate.toString("pem") + "\n");
    return authority;
  }

  /** Signs a usual certificate for a server of this name. */
  async issueServer(name = "backend.test"): Promise<CertificateFiles> {
    return await this.issue(name, { names: [name] });
  }

  /** Signs a certificate for a new key and writes both. */
  async issue(subject: string, options: IssueOptions = {}): Promise<CertificateFiles> {
    const { names = [], use = "server", expired = false, ca = false, extensions = [] } = options;
    const { fromDays = -20, toDays = expired ? -1 : 20 } = options;
    const keys = await generateKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${subject}`,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: ALGORITHM,
      notBefore: new Date(Date.now() + fromDays * DAY_MS),
      notAfter: new Date(Date.now() + toDays * DAY_MS),
      extensions: [
        new x509.BasicConstraintsExtension(ca, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          use === "server" ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate),
        ...names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names.map(toName))] : [],
        ...extensions,
      ],
    });
    return await this.#write(certificate, keys.privateKey);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }

  async #write(certificate: x509.X509Certificate, key: CryptoKey): Promise<CertificateFiles> {
    const stem = `${this.directory}/${++this.#issued}`;
    const files = { cert: `${stem}.pem`, key: `${stem}.key` };
    const pkcs8 = await crypto.subtle.exportKey("pkcs8", key);
    await Deno.writeTextFile(files.cert, certificate.toString("pem") + "\n");
    await Deno.writeTextFile(files.key, x509.PemConverter.encode(pkcs8, "PRIVATE KEY") + "\n");
    return files;
  }
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

/** A subject alternative name, an IP address as such and anything else (`10.0.0.256`) as a DNS name. */
function toName(value: string | x509.JsonGeneralName): x509.JsonGeneralName {
  if (typeof value !== "string") return value;
  return { type: isIP(value) === 0 ? "dns" : "ip", value };
}
