import { createSocket } from "node:dgram";
import { succeeds, testThatNeeds } from "../testing/test_that_needs.ts";

/** An address of the loopback network on which nobody listens; another one for each test. */
function unusedAddress(): string {
  const byte = () => 1 + Math.floor(Math.random() * 254);
  return `127.53.${byte()}.${byte()}`;
}

/** The bytes of a DNS message before its question. */
const DNS_HEADER = 12;

/** Addresses by name; of a name without any the name server says that it does not exist. */
export type Hosts = Readonly<Record<string, readonly string[]>>;

/** Types of DNS records (RFC 1035, section 3.2.2; RFC 3596). */
const RECORD_TYPES = { A: 1, AAAA: 28 } as const;

/** IPv4 addresses, none for a name without such a record, a failure of the name server's, or nothing at all. */
type DnsAnswer = readonly string[] | "SERVFAIL" | "NXDOMAIN" | undefined;

/** What the name server answers of a name that is in no file. */
export type DnsAnswers = (name: string, type: "A" | "AAAA") => DnsAnswer | Promise<DnsAnswer>;

/** How the agent's machine looks names up. */
export interface Machine {
  /** What asks for them, as in nsswitch.conf. @default {"files dns"} */
  hostsModules?: string;
  /** Further lines of resolv.conf. @default {""} */
  resolver?: string;
}

type TestOfNames = (wrapper: string[], change: (hosts: Hosts) => Promise<void>) => Promise<void>;

/**
 * A test in which the agent knows names of the test's own; see {@linkcode testThatNeeds} for machines where
 * that cannot be had, and {@linkcode withOwnNames} for what the test is given.
 */
export function testWithOwnNames(
  name: string,
  hosts: Hosts,
  test: TestOfNames,
  answers?: DnsAnswers,
  machine?: Machine,
): void {
  testThatNeeds(
    { missing: namesProblem() },
    name,
    () => withOwnNames(hosts, test, answers, machine),
  );
}

/** Why nobody here can have names of their own; undefined when that is possible. */
export function namesProblem(): string | undefined {
  return succeeds("unshare", "--mount", "true")
    ? undefined
    : "it takes root to give the agent names of its own";
}

/**
 * Runs a test in which the agent knows names of the test's own; every other name it asks of a name server
 * that takes questions and never answers them, unless the name is said not to exist or `answers` has one.
 *
 * The agent gets a mount namespace with another /etc/hosts, resolv.conf and nsswitch.conf, which takes root.
 *
 * @param hosts addresses by name, in the order of preference
 * @param test is given the wrapper with which to start the agent, and a way to change the names
 * @param answers what the name server answers. @default {nothing}
 */
export async function withOwnNames(
  hosts: Hosts,
  test: TestOfNames,
  answers: DnsAnswers = () => undefined,
  { hostsModules = "files dns", resolver = "" }: Machine = {},
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "names-" });
  const socket = createSocket("udp4");
  const nameServer = unusedAddress();
  let closed = false;
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(53, nameServer, resolve);
    });
    await Deno.writeTextFile(`${directory}/resolv.conf`, `nameserver ${nameServer}\n${resolver}\n`);
    await Deno.writeTextFile(`${directory}/nsswitch.conf`, `hosts: ${hostsModules}\n`);
    let gone: string[] = [];
    socket.on("message", async (question, { port, address }) => {
      const asked = nameIn(question);
      // The resolver may try it with a search domain as well.
      const isGone = gone.some((name) => `${asked}.`.startsWith(`${name}.`));
      const type = typeIn(question);
      const found = isGone ? "NXDOMAIN" : type && await answers(asked, type);
      const answer = found && answerTo(question, found);
      if (answer !== undefined && !closed) socket.send(answer, port, address);
    });
    const change = async (hosts: Hosts) => {
      gone = Object.keys(hosts).filter((name) => hosts[name]?.length === 0);
      // Written in place: what is mounted is the file, not its name.
      await Deno.writeTextFile(`${directory}/hosts`, hostsFile(hosts));
    };
    await change(hosts);
    const mounts = ["hosts", "resolv.conf", "nsswitch.conf"]
      .map((file) => `mount --bind "$0/${file}" /etc/${file}`);
    const script = [...mounts, 'exec "$@"'].join(" && ");
    await test(["unshare", "--mount", "sh", "-c", script, directory], change);
  } finally {
    closed = true;
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    await Deno.remove(directory, { recursive: true });
  }
}

function hostsFile(hosts: Hosts): string {
  return Object.entries({ localhost: ["127.0.0.1"], ...hosts })
    .flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}\n`))
    .join("");
}

/** The name that a DNS message asks for: labels with their lengths before them (RFC 1035, section 4.1.2). */
function nameIn(message: Uint8Array): string {
  const labels: string[] = [];
  let at = DNS_HEADER;
  while (message[at]) {
    const end = at + 1 + (message[at] ?? 0);
    labels.push(new TextDecoder().decode(message.subarray(at + 1, end)).toLowerCase());
    at = end;
  }
  return labels.join(".");
}

/** Why a name server has no answer (RFC 1035, section 4.1.1). */
const RESPONSE_CODES = { SERVFAIL: 2, NXDOMAIN: 3 } as const;

/** The answer to a question that is sent back with it (RFC 1035, section 4.1). */
function answerTo(question: Uint8Array, found: Exclude<DnsAnswer, undefined>): Uint8Array {
  if (typeof found !== "string") return addressesIn(question, found);
  const answer = Uint8Array.from(question);
  answer.set([0x81, 0x80 | RESPONSE_CODES[found]], 2); // a response, recursion desired and available
  return answer;
}

/** The type of record that a DNS message asks for: what follows the name. */
function typeIn(message: Uint8Array): "A" | "AAAA" | undefined {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const type = view.getUint16(message.indexOf(0, DNS_HEADER) + 1);
  if (type === RECORD_TYPES.A) return "A";
  return type === RECORD_TYPES.AAAA ? "AAAA" : undefined;
}

/** IPv4 addresses, if any, as the answer to a question. */
function addressesIn(question: Uint8Array, addresses: readonly string[]): Uint8Array {
  const end = question.indexOf(0, DNS_HEADER) + 5;
  const records = addresses.flatMap((address) => [
    ...[0xc0, DNS_HEADER], // the name that was asked for
    ...[0, RECORD_TYPES.A, 0, 1], // of the internet
    ...[0, 0, 0, 0], // not to be kept
    ...[0, 4, ...address.split(".").map(Number)],
  ]);
  const answer = Uint8Array.from([...question.subarray(0, end), ...records]);
  answer.set([0x81, 0x80, 0, 1, 0, addresses.length, 0, 0, 0, 0], 2);
  return answer;
}
