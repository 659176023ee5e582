import { eventually } from "../../testing/eventually.ts";
import { healthAnswer, type Http2Call, http2Peer, type Http2PeerOptions } from "./http2_peer.ts";
import type { PeerServer } from "./peer_server.ts";

/** A healthy peer whose answers wait until the test lets them go. */
export class GatedPeer implements AsyncDisposable {
  readonly server: PeerServer;
  /** Requests that wait for their answers. */
  readonly waiting: Http2Call[] = [];

  constructor(options: Pick<Http2PeerOptions, "greeting"> = {}) {
    this.server = http2Peer({ ...options, answer: (call) => void this.waiting.push(call) });
  }

  get port(): number {
    return this.server.port;
  }

  /** Waits until so many requests wait. */
  async requests(count: number): Promise<void> {
    await eventually(`${count} requests`, () => this.waiting.length === count);
  }

  /** Answers the request that has waited longest, or so many of them. */
  async answer(count = 1): Promise<void> {
    for (const { send, streamId } of this.waiting.splice(0, count)) {
      await send(healthAnswer(streamId));
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]();
  }
}
