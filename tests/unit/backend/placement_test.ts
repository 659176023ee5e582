import assert from "node:assert/strict";
import type { Destination } from "../../../src/backend/dial.ts";
import type { DialFailure } from "../../../src/backend/dial.ts";
import { type Endpoint, type Endpoints, Waiter } from "../../../src/backend/placement.ts";
import { Deadlines } from "../../../src/deadline.ts";
import { nextTurn } from "../../lab/unit/next_turn.ts";
import { ANY_CONNECTION, at, healthCall } from "../../lab/unit/pool_lab.ts";

const LACK = { kind: "local", detail: "ENOBUFS" } as const;
const REFUSED = { kind: "unreachable", detail: "connect ECONNREFUSED" } as const;
type Failed = typeof LACK | typeof REFUSED;

/** Has a call wait at one address after the other, each of which fails. @returns why there is no connection */
async function failEach(verdicts: readonly Failed[]): Promise<DialFailure | undefined> {
  const deadlines = new Deadlines(nextTurn);
  try {
    const destinations = verdicts.map((_, index) => at(1, `192.0.2.${index}`));
    const tried: Endpoint[] = [];
    const endpoints: Endpoints = {
      of: (destination) => {
        const endpoint = endpointOf(destination);
        tried.push(endpoint);
        return endpoint;
      },
      serve: () => {},
      isCrowded: () => false,
    };
    const waiter = new Waiter(
      destinations,
      healthCall(() => {}),
      ANY_CONNECTION,
      endpoints,
      deadlines,
    );
    for (const [index, verdict] of verdicts.entries()) {
      const endpoint = tried[index];
      assert.ok(endpoint);
      const retryable = verdict === REFUSED;
      waiter.fail(endpoint, { verdict, retryable });
    }
    const placement = await waiter.placed;
    return placement.ok ? undefined : placement.failure;
  } finally {
    deadlines.close();
  }
}

function endpointOf(destination: Destination): Endpoint {
  return {
    key: destination.address,
    destination,
    connections: new Set(),
    dials: new Set(),
    waiting: new Set(),
    pause: undefined,
    crowdedAt: undefined,
  };
}

const rows: readonly [verdicts: readonly Failed[], verdict: Failed, retryable: boolean][] = [
  [[LACK, REFUSED], LACK, true],
  [[REFUSED, LACK], LACK, false],
  [[REFUSED, LACK, REFUSED], LACK, true],
  [[REFUSED, REFUSED], REFUSED, true],
];

for (const [verdicts, verdict, retryable] of rows) {
  const kinds = verdicts.map(({ kind }) => kind).join(", ");
  Deno.test(`a call whose addresses have come to ${kinds} has come to ${verdict.kind}`, async () => {
    const failure = await failEach(verdicts);
    assert.deepEqual([failure?.verdict, failure?.retryable], [verdict, retryable]);
  });
}
