import type { Front } from "../lab/backends/peers/front.ts";
import type { PeerServer } from "../lab/backends/peers/peer_server.ts";
import type { Target } from "./target.ts";

/** A backend behind an address that can lead elsewhere. */
export interface FrontBackend {
  readonly name: string;
  readonly front: Front;
  /** What answers when nothing is wrong. */
  readonly healthy: () => PeerServer;
  readonly target: Target;
}
