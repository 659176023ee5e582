import type { Destination } from "../backend/dial.ts";
import type { Pool } from "../backend/pool.ts";
import type { Deadlines } from "../deadline.ts";
import { encodeHealthCall, type HealthCall } from "../grpc/request.ts";
import { LruMap } from "../lru_map.ts";
import { Attempts, type AttemptsContext } from "./attempts.ts";
import type { CheckObserver, HealthCheck, HealthClient, RunningCheck } from "./health_client.ts";

/** Encoded calls that are kept: one for each authority and service. */
const MAX_CALLS = 10_000;

/** Questions of which it is remembered that a check has used all its attempts in vain. */
const MAX_EXHAUSTED = 10_000;

/** The agent's own gRPC client. */
export class NativeClient implements HealthClient {
  readonly #context: AttemptsContext;
  readonly #metadata: ReadonlyMap<string, string>;
  readonly #calls = new LruMap<string, HealthCall>(MAX_CALLS);

  /** @param metadata what each call carries along */
  constructor(
    pool: Pool,
    deadlines: Deadlines,
    timeouts: Pick<AttemptsContext, "rpcTimeoutMs" | "connectTimeoutMs">,
    metadata: ReadonlyMap<string, string>,
    observer: Pick<CheckObserver, "onHedged">,
  ) {
    const exhausted = new LruMap<string, true>(MAX_EXHAUSTED);
    this.#context = { pool, deadlines, ...timeouts, exhausted, observer };
    this.#metadata = metadata;
  }

  check(check: HealthCheck): RunningCheck {
    return new Attempts(check, this.#callOf(check), this.#context);
  }

  stateOf(destination: Destination): "ready" | "connecting" | undefined {
    return this.#context.pool.stateOf(destination);
  }

  #callOf({ destinations: [first], authority, service }: HealthCheck): HealthCall {
    const tls = first?.tls !== undefined;
    const key = `${tls} ${authority} ${service}`;
    const known = this.#calls.get(key);
    if (known !== undefined) return known;
    const call = encodeHealthCall({ authority, tls, service }, this.#metadata);
    this.#calls.set(key, call);
    return call;
  }
}
