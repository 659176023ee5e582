import { isIPv6 } from "node:net";
import { isOldIPv4Spelling, parseHost, parsePort } from "./host.ts";

/** One check that a client asks for: a valid line, taken apart. */
export interface CheckRequest {
  /** Equal for requests that ask the same question of the same backend, whatever their other options. */
  readonly key: string;
  /** Equal for lines that say the same, options included. */
  readonly lineKey: string;
  /** The backend: an IP address without brackets, or a DNS name, in lower case. */
  readonly host: string;
  /** The backend's TCP port, 1 to 65535. */
  readonly port: number;
  /** Whether to speak TLS to the backend (`ssl`) or not (`no-ssl`). */
  readonly tls: boolean;
  /** What the RPC carries as `:authority`. */
  readonly authority: string;
  /** With TLS: the name sent as SNI and looked for in the certificate. */
  readonly serverName: string;
  /** With TLS: the `[tls.NAME]` of the configuration; empty for the one without a name. */
  readonly tlsProfile: string;
  /** The service of the health request; empty for the server as a whole. */
  readonly service: string;
  /** A deadline tighter than `check_timeout_ms`, in milliseconds. */
  readonly timeoutMs?: number;
  /** Failed checks in a row that take the backend down, 1 to 100. */
  readonly fall?: number;
  /** Good checks in a row that bring it up again, 1 to 100. */
  readonly rise?: number;
}

/** What is asked of which backend: a request without the options that do not change the question. */
export type BackendQuestion = Pick<
  CheckRequest,
  "key" | "host" | "port" | "tls" | "tlsProfile" | "authority" | "serverName" | "service"
>;

/** What a line is: a request, or why it is none. */
export type ParsedRequest =
  | { readonly ok: true; readonly request: CheckRequest }
  | InvalidRequest;

interface InvalidRequest {
  readonly ok: false;
  readonly reason: string;
}

/** Full names of gRPC services, and the free names that servers use beside them (`live-ness`). */
const SERVICE_NAME = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const MAX_SERVICE_LENGTH = 253;

/** The names that `[tls.NAME]` can have. */
export const PROFILE_NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** The options that may follow the four fields, each with its parser, which gives `undefined` for a malformed value. */
const OPTIONS = {
  service: (value: string) =>
    value.length <= MAX_SERVICE_LENGTH && SERVICE_NAME.test(value) ? value : undefined,
  tls: (value: string) => PROFILE_NAME.test(value) ? value : undefined,
  timeout: (value: string) => parseWholeNumber(value, 60_000),
  fall: (value: string) => parseWholeNumber(value, 100),
  rise: (value: string) => parseWholeNumber(value, 100),
};

const UNKNOWN_OPTION = `an option is unknown (known: ${Object.keys(OPTIONS).join(", ")})`;

type OptionName = keyof typeof OPTIONS;
type Options = { -readonly [Name in OptionName]?: NonNullable<ReturnType<(typeof OPTIONS)[Name]>> };

/**
 * Reads one request line: `<backend_server> <backend_port> <ssl|no-ssl> <proxy_host_name>` and
 * options (`key=value`), separated by blanks or tabs.
 *
 * @param line the line without its end, in any characters
 * @returns the request, or the reason why the line is invalid; never throws
 */
export function parseRequest(line: string): ParsedRequest {
  if (line.endsWith("\\n")) {
    return invalid("the line ends in a backslash and an n: agent-send needs double quotes");
  }
  const [server, portText, flag, hostName, ...rest] = line.split(/[ \t]+/).filter((f) => f !== "");
  if (server === undefined) return invalid("the line is empty");
  if (portText === undefined || flag === undefined || hostName === undefined) {
    return invalid(
      "expected 4 fields: <backend_server> <backend_port> <ssl|no-ssl> <proxy_host_name>",
    );
  }
  const host = parseHost(server);
  if (host === undefined) {
    return invalid(
      isOldIPv4Spelling(server.toLowerCase())
        ? "backend_server is an IPv4 address in an old spelling: it needs four decimal numbers"
        : "backend_server must be an IP address or a DNS name",
    );
  }
  const port = parsePort(portText);
  if (port === undefined) return invalid("backend_port must be a number from 1 to 65535");
  if (flag !== "ssl" && flag !== "no-ssl") return invalid("ssl_flag must be ssl or no-ssl");
  const authority = parseAuthority(hostName);
  if (authority === undefined) {
    return invalid("proxy_host_name must be a host with an optional port");
  }
  const parsed = parseOptions(rest);
  if (!parsed.ok) return parsed;
  const { options } = parsed;
  if (options.tls !== undefined && flag === "no-ssl") return invalid("the option tls needs ssl");
  const { tls: tlsProfile = "", service = "", timeout = "", fall = "", rise = "" } = options;
  const key = `${host} ${port} ${flag}=${tlsProfile} ${authority.value} ${service}`;
  return {
    ok: true,
    request: {
      key,
      lineKey: `${key} ${timeout} ${fall} ${rise}`,
      host,
      port,
      tls: flag === "ssl",
      authority: authority.value,
      serverName: authority.host,
      tlsProfile,
      service,
      ...(options.timeout === undefined ? {} : { timeoutMs: options.timeout }),
      ...(options.fall === undefined ? {} : { fall: options.fall }),
      ...(options.rise === undefined ? {} : { rise: options.rise }),
    },
  };
}

function parseOptions(
  fields: readonly string[],
): { readonly ok: true; readonly options: Options } | InvalidRequest {
  const options: Record<string, unknown> = {};
  for (const field of fields) {
    const equals = field.indexOf("=");
    const name = field.slice(0, equals);
    if (equals < 0 || !isOptionName(name)) return invalid(UNKNOWN_OPTION);
    if (options[name] !== undefined) return invalid(`the option ${name} is repeated`);
    const value = OPTIONS[name](field.slice(equals + 1));
    if (value === undefined) return invalid(`the option ${name} is malformed`);
    options[name] = value;
  }
  return { ok: true, options };
}

/** Decimal digits without sign or leading zero, 1 to `max`. */
function parseWholeNumber(text: string, max: number): number | undefined {
  return /^[1-9][0-9]{0,8}$/.test(text) && Number(text) <= max ? Number(text) : undefined;
}

function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}

function invalid(reason: string): InvalidRequest {
  return { ok: false, reason };
}

const MAX_AUTHORITY_LENGTH = 253;

/** `reg-name` of RFC 3986, section 3.2.2 (an IPv4 address is one, too), and an optional port. */
const NAME_AND_PORT = /^([A-Za-z0-9._~!$&'()*+,;=%-]+)(?::([0-9]{1,5}))?$/;

/** An IP literal in brackets, and an optional port. */
const BRACKETED_AND_PORT = /^\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?$/;

/** The fourth field of a request, taken apart. */
interface Authority {
  /** What is sent as `:authority`. */
  readonly value: string;
  /** The host alone: with `ssl`, the name that the server's certificate must carry. */
  readonly host: string;
}

/**
 * Reads `proxy_host_name`: a host with an optional `:port` (RFC 3986, section 3.2, without user
 * information), visible ASCII, at most 253 bytes. A bare IPv6 address is taken and bracketed.
 *
 * @returns the authority, or `undefined` when it is none
 */
function parseAuthority(text: string): Authority | undefined {
  if (text.length > MAX_AUTHORITY_LENGTH) return undefined;
  if (isIPv6(text) && !text.includes("%")) return { value: `[${text}]`, host: text };
  const [, literal, literalPort] = BRACKETED_AND_PORT.exec(text) ?? [];
  if (literal !== undefined) {
    return isIPv6(literal) && isPort(literalPort) ? { value: text, host: literal } : undefined;
  }
  const [, name, port] = NAME_AND_PORT.exec(text) ?? [];
  return name !== undefined && isPort(port) ? { value: text, host: name } : undefined;
}

function isPort(text: string | undefined): boolean {
  return text === undefined || Number(text) <= 65535;
}
