import { connect } from "node:http2";
import { within } from "../testing/eventually.ts";

/** The path of the health RPC. */
export const HEALTH_CHECK = "/grpc.health.v1.Health/Check";

/**
 * Calls a method with an empty message, as a gRPC client does.
 *
 * @param origin where HAProxy takes calls
 * @param path the method's
 * @param ca the CA of HAProxy's certificate, PEM
 * @returns the HTTP status: 200 comes from a gRPC server (unknown methods too), 503 from HAProxy when no
 * server is left
 */
export async function callThrough(origin: string, path: string, ca?: string): Promise<number> {
  const session = connect(origin, ca === undefined ? {} : { ca, servername: "site.test" });
  try {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    session.on("error", reject);
    const headers = { "content-type": "application/grpc", te: "trailers" };
    const call = session.request({ ":method": "POST", ":path": path, ...headers });
    call.on("error", reject);
    let status = 0;
    call.on("response", (headers) => status = Number(headers[":status"]));
    call.on("end", () => resolve(status));
    call.resume();
    call.end(new Uint8Array(5));
    return await within("the answer through HAProxy", 5000, promise);
  } finally {
    session.destroy();
  }
}

/** A call of `Health/Watch` through HAProxy that stays open; a message comes at each change. */
export class OpenCall {
  #session;
  #messages = 0;
  #read = 0;
  #arrived = Promise.withResolvers<void>();

  constructor(origin: string) {
    this.#session = connect(origin);
    this.#session.on("error", (error) => this.#arrived.reject(error));
    const call = this.#session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Watch",
      "content-type": "application/grpc",
      te: "trailers",
    });
    call.on("error", (error) => this.#arrived.reject(error));
    call.on("data", () => {
      this.#messages++;
      this.#arrived.resolve();
      this.#arrived = Promise.withResolvers();
    });
    call.end(new Uint8Array(5));
  }

  /** Waits for the next message. */
  async message(): Promise<void> {
    while (this.#messages === this.#read) {
      await within("a message of the open call", 5000, this.#arrived.promise);
    }
    this.#read++;
  }

  close(): void {
    this.#session.destroy();
  }
}
