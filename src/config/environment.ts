import { isIP } from "node:net";
import { suggest } from "./kinds.ts";
import { ENV_PREFIX } from "./settings.ts";

/** The variables of an environment without those that Kubernetes has added. */
export interface SeparatedEnvironment {
  readonly environment: Readonly<Record<string, string>>;
  /** One line for each Service whose links are left out. */
  readonly warnings: readonly string[];
}

/** `tcp://10.96.12.34:9090`: the value of a service link, which no setting accepts. */
const LINK = /^(?:tcp|udp|sctp):\/\/(?:\[([0-9a-f:.]+)\]|([0-9.]+)):\d{1,5}$/i;

/** Names whose value is a link, without {@linkcode ENV_PREFIX}, which is (the beginning of) the Service's name. */
const NAMED_FOR_LINK = /^(.*?)_?PORT(?:_\d+_(?:TCP|UDP|SCTP))?$/;

/** Names whose value is a part of a link: an address, a port, a protocol. */
const NAMED_FOR_PART =
  /^(.*?)_?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)_(?:PROTO|PORT|ADDR))$/;

/**
 * Takes out service links: the variables that Kubernetes sets in each container for the Services of its namespace.
 * Those of a Service called haproxy-agent, or haproxy-agent-metrics, begin like the agent's own variables, and
 * `HAPROXY_AGENT_METRICS_PORT` even is one.
 *
 * @param known the agent's own variables, without {@linkcode ENV_PREFIX}: one of these is taken out only when
 * its value is a link
 */
export function withoutServiceLinks(
  environment: Readonly<Record<string, string>>,
  known: readonly string[],
): SeparatedEnvironment {
  const links = Object.entries(environment).flatMap(([name, value]) => {
    const service = serviceOf(name, value, known);
    return service === undefined ? [] : [{ name, service }];
  });
  const left = new Set(links.map(({ name }) => name));
  return {
    environment: Object.fromEntries(
      Object.entries(environment).filter(([name]) => !left.has(name)),
    ),
    warnings: Array.from(
      Map.groupBy(links, ({ service }) => service),
      ([service, links]) =>
        `${links.map(({ name }) => name).sort().join(", ")}: left out, Kubernetes has set ` +
        `${links.length === 1 ? "it" : "them"} for the Service ${service} ` +
        "(enableServiceLinks: false in the pod's spec keeps them away)",
    ),
  };
}

/** @returns the name of the Service that a variable is a link to; `undefined` for one that is none */
function serviceOf(name: string, value: string, known: readonly string[]): string | undefined {
  if (!name.startsWith(ENV_PREFIX)) return undefined;
  const rest = name.slice(ENV_PREFIX.length);
  const hasLink = isLink(value);
  if (known.includes(rest) && !hasLink) return undefined;
  const [, service] = (hasLink ? NAMED_FOR_LINK : NAMED_FOR_PART).exec(rest) ?? [];
  if (service === undefined) return undefined;
  return (ENV_PREFIX + service).replace(/_$/, "").toLowerCase().replaceAll("_", "-");
}

function isLink(value: string): boolean {
  const [, six, four] = LINK.exec(value) ?? [];
  return isIP(six ?? four ?? "") !== 0;
}

/**
 * @param known the agent's own variables, without {@linkcode ENV_PREFIX}
 * @returns a warning for each variable that begins like the agent's own and is none of them. It is no mistake: other
 * programs may use such names
 */
export function unknownVariables(
  environment: Readonly<Record<string, string>>,
  known: readonly string[],
): string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith(ENV_PREFIX))
    .map((name) => name.slice(ENV_PREFIX.length))
    .filter((name) => !known.includes(name))
    .map((name) => `${ENV_PREFIX}${name}: unknown variable${suggest(name, known, ENV_PREFIX)}`);
}

/**
 * @param names variables
 * @param read gives the value of one; throws where that is no text
 * @returns those that are set to something that is no text: `Deno.env.toObject` leaves them out
 */
export function unreadableVariables(
  names: readonly string[],
  read: (name: string) => string | undefined,
): string[] {
  return names.filter((name) => {
    try {
      read(name);
      return false;
    } catch {
      return true;
    }
  });
}
