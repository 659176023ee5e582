import { setTimeout as pause } from "node:timers/promises";
import { CONNECTION_FAULTS, type Fault, HTTP2_FAULTS } from "../lab/backends/peers/faulty_peers.ts";
import { wayTo } from "../lab/backends/peers/front.ts";
import type { Peer, PeerServer } from "../lab/backends/peers/peer_server.ts";
import { POLITE_WAYS } from "../lab/backends/peers/polite_peers.ts";
import { blackHole, refusing, resetting } from "../lab/backends/peers/tcp_peers.ts";
import type { SoakFault } from "./faults.ts";
import type { FrontBackend } from "./front_backend.ts";
import { SILENCE_FAULTS } from "./silence_faults.ts";
import { change } from "./timeline.ts";

type FrontFault = SoakFault<FrontBackend>;

const DOWN_TRUTH = "down from the switch on, up from the switch back on";

/** Calls on connections of the one that has answered so far get this long to end, in milliseconds. */
const DRAIN_MS = 1000;

/** Another answers for a while, and nobody must notice. */
function politelyLeadingTo(name: string, start: () => PeerServer): FrontFault {
  return {
    name,
    truth: "up all the time",
    run: async ({ front, healthy }, hold) => {
      await drained(front.replace(start()));
      await hold();
      await drained(front.replace(healthy()));
    },
  };
}

async function drained(before: PeerServer): Promise<void> {
  await pause(DRAIN_MS);
  await before[Symbol.asyncDispose]();
}

/** Another answers for a while; connections end at both switches. */
function leadingTo(name: string, start: () => PeerServer): FrontFault {
  return {
    name,
    truth: DOWN_TRUTH,
    run: async ({ front, healthy, target: { timeline } }, hold) => {
      const peer = start();
      await change([timeline], "down", name, () => front.lead(peer));
      await hold();
      await change([timeline], "up", "healthy again", () => front.lead(healthy()));
    },
  };
}

/**
 * A SYN that was dropped is sent again a second later, when `grpc_connect_timeout_ms` is over, and checks
 * share the attempt to connect. In milliseconds.
 */
const LOST_SYN_MS = 1000 + 50;

/** Another takes the port itself. */
function occupied(
  name: string,
  occupy: (port: number) => Peer | Promise<Peer>,
  settleMs = 0,
): FrontFault {
  const settling =
    `; either for ${settleMs} ms after its end: a check may share an attempt begun before`;
  return {
    name,
    truth: settleMs === 0 ? DOWN_TRUTH : `${DOWN_TRUTH}${settling}`,
    run: async ({ front, healthy, target: { timeline } }, hold) => {
      await change([timeline], "down", name, () => front.vacate(occupy));
      await hold();
      await change([timeline], "up", "healthy again", () => front.reopen(healthy()), settleMs);
    },
  };
}

/** What the integration tests try one by one, as far as it can stand behind an address. */
function known(faults: readonly Fault[], ssl: boolean): FrontFault[] {
  return faults.filter((fault) => (fault.ssl ?? false) === ssl).flatMap((fault) => {
    if (fault.ofAddress) return [];
    const lead = fault.outcome === "up" ? politelyLeadingTo : leadingTo;
    return [lead(fault.name, fault.start)];
  });
}

const OCCUPIED: readonly FrontFault[] = [
  occupied("refuses connections", refusing),
  occupied("resets connections", resetting),
  occupied("drops every SYN", blackHole, LOST_SYN_MS),
];

/** What happens to backends without TLS. */
export const PLAIN_FAULTS: readonly FrontFault[] = [
  ...POLITE_WAYS.map(({ name, start }) => politelyLeadingTo(name, start)),
  ...known([...CONNECTION_FAULTS, ...HTTP2_FAULTS], false),
  ...OCCUPIED,
  ...SILENCE_FAULTS,
];

/** Where TLS backends stand that present the wrong certificate. */
export interface WrongCertificates {
  readonly expiredPort: number;
  readonly wrongNamePort: number;
  readonly strangerPort: number;
  readonly plainPort: number;
}

/** @returns what happens to backends with TLS */
export function tlsFaults(wrong: WrongCertificates): FrontFault[] {
  const to = (name: string, port: number) => leadingTo(name, () => wayTo(port));
  return [
    to("shows an expired certificate", wrong.expiredPort),
    to("shows a certificate with another name", wrong.wrongNamePort),
    to("shows a certificate of an unknown authority", wrong.strangerPort),
    to("speaks no TLS", wrong.plainPort),
    ...known([...CONNECTION_FAULTS, ...HTTP2_FAULTS], true),
    ...OCCUPIED,
  ];
}
