// What happens to the backends of the soak: what each fault is, how long it lasts, and what the agent must say of
// the backend meanwhile.
//
// How often: a backend is left alone for REST_MS, 9 s on average, and then has the next fault of its table, for
// 3.5 s on average if it is held. In a round through the table each row comes once, in an order that the seed
// gives. So a backend whose table has 17 rows has each of them about every three and a half minutes.

import { CONNECTION_FAULTS, type Fault, HTTP2_FAULTS } from "../lab/backends/peers/faulty_peers.ts";
import { wayTo } from "../lab/backends/peers/front.ts";
import { POLITE_WAYS } from "../lab/backends/peers/polite_peers.ts";
import { blackHole, refusing, resetting } from "../lab/backends/peers/tcp_peers.ts";
import {
  type AddressBackend,
  becomingDeaf,
  holdingAnswersBack,
  leadingTo,
  politelyLeadingTo,
  portTakenBy,
  type RollingBackend,
  rollingUpdate,
} from "./address_faults.ts";
import {
  answeringAfter,
  frozen,
  frozenAndKilled,
  oneService,
  type ProcessBackend,
  restarted,
  THAW_SETTLE_MS,
  tooSlow,
} from "./process_faults.ts";
import type { Injector, RangeMs, SoakFault } from "./schedule.ts";

/** How long a backend is left alone between two faults, in milliseconds. */
export const REST_MS: RangeMs = [2000, 16_000];

/** How long most faults are held, in milliseconds. */
const HELD: RangeMs = [1000, 6000];

/** The same of a fault that is not held: the backend returns as soon as it can. */
const AT_ONCE: RangeMs = [0, 0];

/** Slow, but within every time limit of the agent, in milliseconds. */
const SLOW_MS = 700;

/** Slower than `grpc_rpc_timeout_ms`. */
const TOO_SLOW_MS = 2500;

/**
 * A backend that answers too slowly has calls in hand when it becomes quick again, and equal checks share
 * a call. The call ends at `grpc_rpc_timeout_ms`, in milliseconds.
 */
const SLOW_SETTLE_MS = 1500 + 200;

/**
 * A SYN that was dropped is sent again a second later, when `grpc_connect_timeout_ms` is over, and checks
 * share the attempt to connect. In milliseconds.
 */
const LOST_SYN_MS = 1000 + 50;

// What a check must say.
const UP = "up all the time";
const RESTART =
  "down from the seen exit to the word that it listens; either while it stops or starts";
const FREEZE =
  `down while the kernel shows it stopped; either for ${THAW_SETTLE_MS} ms after SIGCONT`;
const FREEZE_AND_KILL =
  "down while the kernel shows it stopped, and until it starts; either while it starts";
const TOO_SLOW =
  `down; either for ${SLOW_SETTLE_MS} ms after its end: a check may share a call in hand`;
const ONE_SERVICE = "one service is down from the acknowledged command on, the other stays up";
const SWITCH = "down from the switch on, up from the switch back on";
const SWITCH_AND_SYN =
  `${SWITCH}; either for ${LOST_SYN_MS} ms after its end: a check may share an attempt begun before`;
const HELD_BACK = "down from the first held answer on, up from when they are given";

/**
 * A row of a table.
 *
 * @param name what the backend does, to be read after "a backend that"
 * @param heldMs for how long
 * @param expected what a check must say meanwhile, and where either answer is right
 * @param inject how it is made happen
 */
function row<Backend>(
  name: string,
  heldMs: RangeMs,
  expected: string,
  inject: Injector<Backend>,
): SoakFault<Backend> {
  return { name, heldMs, expected, inject };
}

/** What happens to backends that are a process on a port of its own. */
export const PROCESS_FAULTS: readonly SoakFault<ProcessBackend>[] = [
  row("is killed (SIGKILL) and returns later", HELD, RESTART, restarted("kill")),
  row("is killed (SIGKILL) and restarts at once", AT_ONCE, RESTART, restarted("kill")),
  row("ends politely (SIGTERM) and returns later", HELD, RESTART, restarted("terminate")),
  row("restarts politely (SIGTERM)", AT_ONCE, RESTART, restarted("terminate")),
  row("freezes (SIGSTOP, SIGCONT)", HELD, FREEZE, frozen),
  row(
    "freezes (SIGSTOP), is killed (SIGKILL) and restarts",
    HELD,
    FREEZE_AND_KILL,
    frozenAndKilled,
  ),
  row(`answers after ${SLOW_MS} ms`, HELD, UP, answeringAfter(SLOW_MS)),
  row(
    `answers after ${TOO_SLOW_MS} ms`,
    HELD,
    TOO_SLOW,
    tooSlow(TOO_SLOW_MS, SLOW_SETTLE_MS),
  ),
  row("says NOT_SERVING", HELD, ONE_SERVICE, oneService("status", "NOT_SERVING")),
  row("says UNKNOWN", HELD, ONE_SERVICE, oneService("status", "UNKNOWN")),
  row("says SERVICE_UNKNOWN", HELD, ONE_SERVICE, oneService("status", "SERVICE_UNKNOWN")),
  row("says 999", HELD, ONE_SERVICE, oneService("status", 999)),
  row("ends calls with UNIMPLEMENTED", HELD, ONE_SERVICE, oneService("error", 12)),
  row("ends calls with UNAVAILABLE", HELD, ONE_SERVICE, oneService("error", 14)),
  row("ends calls with INTERNAL", HELD, ONE_SERVICE, oneService("error", 13)),
  row("ends calls with RESOURCE_EXHAUSTED", HELD, ONE_SERVICE, oneService("error", 8)),
  row("ends calls with UNAUTHENTICATED", HELD, ONE_SERVICE, oneService("error", 16)),
];

/** What happens to backends whose servers are replaced. */
export const ROLLING_FAULTS: readonly SoakFault<RollingBackend>[] = [
  row(
    "is replaced by a rolling update (SIGTERM to the old server)",
    HELD,
    UP,
    rollingUpdate(false),
  ),
  row(
    "is replaced by a rolling update (NOT_SERVING by the old server, then SIGTERM)",
    HELD,
    UP,
    rollingUpdate(true),
  ),
];

/** What happens to the port of an address, with or without TLS. */
const PORT_FAULTS: readonly SoakFault<AddressBackend>[] = [
  row("refuses connections", HELD, SWITCH, portTakenBy(refusing)),
  row("resets connections", HELD, SWITCH, portTakenBy(resetting)),
  row("drops every SYN", HELD, SWITCH_AND_SYN, portTakenBy(blackHole, LOST_SYN_MS)),
];

/** What happens to addresses without TLS. */
export const PLAIN_FAULTS: readonly SoakFault<AddressBackend>[] = [
  ...POLITE_WAYS.map(({ name, start }) => row(name, HELD, UP, politelyLeadingTo(start))),
  ...faultyPeers(false),
  ...PORT_FAULTS,
  row("holds its answers back, then gives them all", HELD, HELD_BACK, holdingAnswersBack),
  row("lets old connections go deaf and serves new ones", HELD, UP, becomingDeaf),
];

/** Where TLS backends stand that present the wrong certificate. */
export interface WrongCertificates {
  readonly expiredPort: number;
  readonly wrongNamePort: number;
  readonly strangerPort: number;
  readonly plainPort: number;
}

/** @returns what happens to addresses with TLS */
export function tlsFaults(wrong: WrongCertificates): SoakFault<AddressBackend>[] {
  const to = (port: number) => leadingTo(() => wayTo(port));
  return [
    row("shows an expired certificate", HELD, SWITCH, to(wrong.expiredPort)),
    row("shows a certificate with another name", HELD, SWITCH, to(wrong.wrongNamePort)),
    row("shows a certificate of an unknown authority", HELD, SWITCH, to(wrong.strangerPort)),
    row("speaks no TLS", HELD, SWITCH, to(wrong.plainPort)),
    ...faultyPeers(true),
    ...PORT_FAULTS,
  ];
}

/** What the integration tests try one by one, as far as it can stand behind an address. */
function faultyPeers(ssl: boolean): SoakFault<AddressBackend>[] {
  const faults: readonly Fault[] = [...CONNECTION_FAULTS, ...HTTP2_FAULTS];
  return faults.filter((fault) => (fault.ssl ?? false) === ssl).flatMap((fault) => {
    if (fault.ofAddress) return [];
    return fault.outcome === "up"
      ? [row(fault.name, HELD, UP, politelyLeadingTo(fault.start))]
      : [row(fault.name, HELD, SWITCH, leadingTo(fault.start))];
  });
}
