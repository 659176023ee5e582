import { healthAnswer, http2Peer } from "../lab/backends/peers/http2_peer.ts";
import { eventually } from "../lab/testing/eventually.ts";
import type { SoakFault } from "./faults.ts";
import type { FrontBackend } from "./front_backend.ts";
import { change } from "./timeline.ts";

const HANGING: SoakFault<FrontBackend> = {
  name: "holds its answers back, then gives them all",
  truth: "down from the first held answer on, up from when they are given",
  run: async ({ front, healthy, target: { timeline } }, hold) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const peer = http2Peer({
      answer: async ({ streamId, send }) => {
        await released;
        await send(healthAnswer(streamId));
      },
    });
    await change([timeline], "down", "holds its answers back", () => front.lead(peer));
    await hold();
    await change([timeline], "up", "gives its answers", release, 50);
    await front.lead(healthy());
  },
};

/** Until each old connection has been asked, no longer than this, in milliseconds. */
const ASKED_WITHIN_MS = 5000;

const DEAF: SoakFault<FrontBackend> = {
  name: "lets old connections go deaf and serves new ones",
  truth: "up all the time",
  run: async ({ front, healthy, target: { lines } }, hold) => {
    let unanswered = 0;
    let deaf = false;
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const peer = http2Peer({
      answer: async ({ streamId, send }) => {
        if (!deaf) return await send(healthAnswer(streamId));
        unanswered++;
        await ended;
      },
    });
    await front.lead(peer);
    await hold();
    deaf = true;
    const before = front.replace(healthy());
    // The agent keeps a connection for each authority.
    await eventually("the old connections to be asked", () => unanswered >= lines.length, {
      timeoutMs: ASKED_WITHIN_MS,
    }).catch(() => {});
    await hold();
    end();
    await before[Symbol.asyncDispose]();
  },
};

/** Backends that take calls and say nothing. */
export const SILENCE_FAULTS: readonly SoakFault<FrontBackend>[] = [HANGING, DEAF];
