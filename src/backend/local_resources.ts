import { codeOf } from "../describe_error.ts";

/** What the agent or its machine lacks, wherever it connects to, by the name of the errno. */
const LACKS: Readonly<Record<string, string>> = {
  EMFILE: "the agent has no file descriptor left (ulimit -n)",
  ENFILE: "the machine has no file descriptor left (fs.file-max)",
  ENOBUFS: "the machine has no buffer left",
  ENOMEM: "the machine has no memory left",
};

const NO_LOCAL_PORT = "no local port is left towards this address (net.ipv4.ip_local_port_range)";

/** A name look-up takes a few descriptors at once: files of the resolver, then sockets. */
const DESCRIPTORS_OF_A_LOOKUP = 8;

/**
 * Tells whether connecting failed because the agent or its machine lacks something, which says nothing of the
 * backend. EPERM, EACCES, EINVAL and a missing address family are about the destination.
 *
 * @param code the errno's name
 * @returns what is lacking, for people; `undefined` when it is not the agent
 */
export function missingResource(code: string, address: string): string | undefined {
  if (code !== "EADDRNOTAVAIL") return LACKS[code];
  return hasFamilyOf(address) ? NO_LOCAL_PORT : undefined;
}

/**
 * Whether so few file descriptors are left that a name look-up may fail for want of one. getaddrinfo() says
 * "no such name" then, so its error does not tell.
 */
export function lacksDescriptors(): boolean {
  const files: Deno.FsFile[] = [];
  try {
    while (files.length < DESCRIPTORS_OF_A_LOOKUP) files.push(Deno.openSync("/dev/null"));
    return false;
  } catch (error) {
    return LACKS[codeOf(error)] !== undefined;
  } finally {
    for (const file of files) file.close();
  }
}

/**
 * With IPv6 switched off, each IPv6 destination gives EADDRNOTAVAIL, which is no lack of ports. Loopback has no
 * address then either; whatever else keeps it from listening (no port, no descriptor) says nothing of the family.
 */
function hasFamilyOf(address: string): boolean {
  const hostname = address.includes(":") ? "::1" : "127.0.0.1";
  try {
    Deno.listen({ hostname, port: 0 }).close();
    return true;
  } catch (error) {
    return !["EADDRNOTAVAIL", "EAFNOSUPPORT"].includes(codeOf(error));
  }
}
