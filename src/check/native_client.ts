import type { Destination } from "../backend/destination.ts";
import type { Pool } from "../backend/pool.ts";
import type { Deadlines } from "../deadline.ts";
import { encodeHealthCall, type HealthCall } from "../grpc/request.ts";
import { LruMap } from "../lru_map.ts";
import { Attempts, type AttemptsContext } from "./attempts.ts";
import type { HealthCheck, HealthClient, RunningCheck } from "./health_client.ts";

/** Encoded calls that are kept: one for each authority and service. */
const MAX_CALLS = 10_000;

/** Backends of which it is remembered that a check has used all its attempts. */
const MAX_EXHAUSTED = 10_000;

/** The agent's own gRPC client. */
export class NativeClient implements HealthClient {
  readonly #pool: Pool;
  readonly #deadlines: Deadlines;
  readonly #timeouts: Pick<AttemptsContext, "rpcTimeoutMs" | "connectTimeoutMs">;
  readonly #metadata: ReadonlyMap<string, string>;
  readonly #onHedged: () => void;
  readonly #calls = new LruMap<string, HealthCall>(MAX_CALLS);
  readonly #exhausted = new LruMap<string, true>(MAX_EXHAUSTED);

  /**
   * @param metadata what each call carries along
   * @param onHedged told of each call that is made a second time while the first is silent
   */
  constructor(
    pool: Pool,
    deadlines: Deadlines,
    timeouts: Pick<AttemptsContext, "rpcTimeoutMs" | "connectTimeoutMs">,
    metadata: ReadonlyMap<string, string>,
    onHedged: () => void,
  ) {
    this.#pool = pool;
    this.#deadlines = deadlines;
    this.#timeouts = timeouts;
    this.#metadata = metadata;
    this.#onHedged = onHedged;
  }

  check(check: HealthCheck): RunningCheck {
    const [first] = check.destinations;
    const target = `${first?.address} ${first?.port}`;
    const exhausted = this.#exhausted.get(target) !== undefined;
    const attempts = new Attempts(check, this.#callOf(check), {
      pool: this.#pool,
      deadlines: this.#deadlines,
      ...this.#timeouts,
      exhausted,
      onHedged: this.#onHedged,
    });
    void attempts.outcome.then(({ verdict }) => {
      if (verdict.kind === "serving") {
        if (exhausted) this.#exhausted.delete(target);
      } else if (attempts.exhausted) this.#exhausted.set(target, true);
    });
    return attempts;
  }

  stateOf(destination: Destination): "ready" | "connecting" | undefined {
    return this.#pool.stateOf(destination);
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
