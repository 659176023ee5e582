import { type ChannelOptions, experimental } from "@grpc/grpc-js";

/** The scheme of {@linkcode PinnedResolver}. */
export const PINNED_SCHEME = "pinned";

/** The channel option that carries the addresses: `PinnedAddress[]`. */
export const PINNED_ADDRESSES = "haproxy-grpc-agent.pinned-addresses";

/**
 * An address that a channel may connect to. grpc-js hands the object on to `net.connect` as it is (it
 * documents its addresses as a subset of net.SocketConnectOpts), so `signal` ends the socket at any time,
 * also one that is still connecting. grpc-js itself has no such means: closing a channel leaves a
 * socket behind that is not connected yet.
 */
export interface PinnedAddress {
  readonly host: string;
  readonly port: number;
  readonly signal: AbortSignal;
}

/**
 * A grpc-js resolver that answers with the addresses that its channel was made for and no others. The
 * agent resolves a name itself, so that the address that was checked is the address connected to, and
 * so that nothing in a request can be read as another kind of target (`unix:`, `xds:`, a list).
 */
class PinnedResolver implements experimental.Resolver {
  readonly #listener: experimental.ResolverListener;
  readonly #endpoints: experimental.Endpoint[];
  #state: "fresh" | "answered" | "destroyed" = "fresh";

  constructor(
    _target: experimental.GrpcUri,
    listener: experimental.ResolverListener,
    options: ChannelOptions,
  ) {
    this.#listener = listener;
    const addresses: readonly PinnedAddress[] = options[PINNED_ADDRESSES];
    this.#endpoints = addresses.map((address) => ({ addresses: [address] }));
  }

  /** grpc-js asks again at once when no address answers; a second answer would make it a busy loop. */
  updateResolution(): void {
    if (this.#state !== "fresh") return;
    this.#state = "answered";
    process.nextTick(() => {
      if (this.#state === "destroyed") return;
      this.#listener(experimental.statusOrFromValue(this.#endpoints), {}, null, "");
    });
  }

  destroy(): void {
    this.#state = "destroyed";
  }

  static getDefaultAuthority(target: experimental.GrpcUri): string {
    return target.path;
  }
}

/** Makes {@linkcode PINNED_SCHEME} known to grpc-js. To be called once, before the first channel. */
export function installPinnedResolver(): void {
  experimental.registerResolver(PINNED_SCHEME, PinnedResolver);
}
