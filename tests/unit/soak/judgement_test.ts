import assert from "node:assert/strict";
import { type Bounds, instantsOf, judge, type Judgement } from "../../soak/judgement.ts";
import { Timeline } from "../../soak/timeline.ts";

const BOUNDS: Bounds = { deadlineMs: 1800, graceMs: 50, lookBackMs: 50 };

/** Up, changing at 1000, down from 1100 on, changing at 9000, up from 9200 on. */
function backend(): Timeline {
  const timeline = new Timeline("up", 0);
  timeline.enter("either", 1000, "killed");
  timeline.enter("down", 1100, "killed");
  timeline.enter("either", 9000, "started");
  timeline.enter("up", 9200, "started");
  return timeline;
}

interface Row {
  what: string;
  sentAt: number;
  receivedAt: number;
  reply: string | undefined;
  stalledMs?: number;
  agentWaitedMs?: number;
  judgement: Judgement;
}

const ROWS: Row[] = [
  {
    what: "up of a backend that is up",
    sentAt: 500,
    receivedAt: 505,
    reply: "up\n",
    judgement: "right",
  },
  {
    what: "down of a backend that is up",
    sentAt: 500,
    receivedAt: 505,
    reply: "down\n",
    judgement: "wrong",
  },
  {
    what: "up of a backend that is down",
    sentAt: 2000,
    receivedAt: 2005,
    reply: "up\n",
    judgement: "wrong",
  },
  {
    what: "down with a reason",
    sentAt: 2000,
    receivedAt: 2005,
    reply: "down #timeout: late\n",
    judgement: "right",
  },
  {
    what: "up of a backend that was up when it was asked",
    sentAt: 990,
    receivedAt: 2000,
    reply: "up\n",
    judgement: "right",
  },
  {
    what: "down of a backend that was down when it was asked and has returned",
    sentAt: 8000,
    receivedAt: 9500,
    reply: "down\n",
    judgement: "right",
  },
  {
    what: "down just after the backend has returned",
    sentAt: 9249,
    receivedAt: 9251,
    reply: "down\n",
    judgement: "unclear",
  },
  {
    what: "down later than that",
    sentAt: 9251,
    receivedAt: 9255,
    reply: "down\n",
    judgement: "wrong",
  },
  {
    what: "up of a backend that is just ending",
    sentAt: 1060,
    receivedAt: 1090,
    reply: "up\n",
    judgement: "unclear",
  },
  {
    what: "up of a backend that has ended longer ago than the allowance",
    sentAt: 1151,
    receivedAt: 1200,
    reply: "up\n",
    judgement: "wrong",
  },
  {
    what: "an answer at the last moment",
    sentAt: 2000,
    receivedAt: 3850,
    reply: "down\n",
    judgement: "right",
  },
  {
    what: "an answer after that",
    sentAt: 2000,
    receivedAt: 3851,
    reply: "down\n",
    judgement: "late",
  },
  {
    what: "an answer that waited for the asker",
    sentAt: 2000,
    receivedAt: 3900,
    reply: "down\n",
    stalledMs: 60,
    judgement: "asker_stalled",
  },
  {
    what: "an answer that is later than the asker's stall explains",
    sentAt: 2000,
    receivedAt: 3900,
    reply: "down\n",
    stalledMs: 40,
    judgement: "late",
  },
  {
    what: "an answer that waited for the agent to be given a core",
    sentAt: 2000,
    receivedAt: 3900,
    reply: "down\n",
    agentWaitedMs: 60,
    judgement: "agent_starved",
  },
  {
    what: "an answer that is later than the agent's wait for a core explains",
    sentAt: 2000,
    receivedAt: 3900,
    reply: "down\n",
    agentWaitedMs: 40,
    judgement: "late",
  },
  {
    what: "a timeout of a backend that is up, while the agent had no core",
    sentAt: 500,
    receivedAt: 900,
    reply: "down #timeout: The RPC did not end in time\n",
    agentWaitedMs: 501,
    judgement: "agent_starved",
  },
  {
    what: "a timeout of a backend that is up, while the agent had a core nearly all the time",
    sentAt: 500,
    receivedAt: 900,
    reply: "down #timeout: The RPC did not end in time\n",
    agentWaitedMs: 500,
    judgement: "wrong",
  },
  {
    what: "a refusal of a backend that is up, whatever the agent waited for",
    sentAt: 500,
    receivedAt: 900,
    reply: "down #backend_unreachable: ECONNREFUSED\n",
    agentWaitedMs: 5000,
    judgement: "wrong",
  },
  {
    what: "up of a backend that is down, whatever the agent waited for",
    sentAt: 2000,
    receivedAt: 2005,
    reply: "up\n",
    agentWaitedMs: 5000,
    judgement: "wrong",
  },
  {
    what: "a late answer that is wrong as well",
    sentAt: 2000,
    receivedAt: 4000,
    reply: "up\n",
    judgement: "wrong",
  },
  {
    what: "no answer",
    sentAt: 2000,
    receivedAt: 2001,
    reply: undefined,
    judgement: "missing",
  },
  {
    what: "another word, whatever the backend does",
    sentAt: 1000,
    receivedAt: 1100,
    reply: "ready\n",
    judgement: "wrong",
  },
  {
    what: "half a reply, whatever the backend does",
    sentAt: 1000,
    receivedAt: 1100,
    reply: "dow",
    judgement: "wrong",
  },
];

for (const { what, stalledMs = 0, agentWaitedMs = 0, judgement, ...answer } of ROWS) {
  Deno.test(`the soak takes for ${judgement}: ${what}`, () => {
    const states = backend().during(...instantsOf(answer, BOUNDS));
    assert.equal(judge(answer, states, BOUNDS, { stalledMs, agentWaitedMs }), judgement);
  });
}
