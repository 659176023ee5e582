import { createSocket, type Socket } from "node:dgram";

/** Bytes of a DNS message before its question (RFC 1035, section 4.1.1). */
const HEADER_BYTES = 12;

/** Query type A, and class IN. */
const [TYPE_A, CLASS_IN] = [1, 1];

/** A response to a question that wanted recursion, authoritative: no error, or no such name. */
const FLAGS = { noError: 0x8580, noSuchName: 0x8583 };

/**
 * A name server on loopback that knows the IPv4 addresses of one name, as much of DNS as the demo needs;
 * the tests use a real one.
 */
export class DemoNameServer implements AsyncDisposable {
  /** The addresses that it answers with; none: there is no such name. */
  addresses: readonly string[] = [];
  readonly port: number;
  #socket: Socket;

  private constructor(socket: Socket, name: string, port: number) {
    this.#socket = socket;
    this.port = port;
    const labels = questionName(name);
    socket.on("message", (question, from) => {
      const answer = this.#answer(question, labels);
      if (answer) socket.send(answer, from.port, from.address);
    });
  }

  /** @param name without a dot at its end */
  static async start(name: string, port: number): Promise<DemoNameServer> {
    const socket = createSocket("udp4");
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(port, "127.0.0.1", resolve);
    });
    return new DemoNameServer(socket, name, port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  /** The answer to a question; undefined when it is none. */
  #answer(message: Uint8Array, labels: Uint8Array): Uint8Array | undefined {
    const end = HEADER_BYTES + labels.length;
    if (message.length < HEADER_BYTES + 1) return undefined;
    const known = message.length >= end + 4 &&
      labels.every((byte, index) => byte === lower(message[HEADER_BYTES + index] ?? 0));
    if (!known || this.addresses.length === 0) {
      return header(
        message,
        FLAGS.noSuchName,
        0,
        message.subarray(HEADER_BYTES, questionEnd(message)),
      );
    }
    const type = (message[end] ?? 0) * 256 + (message[end + 1] ?? 0);
    const records = type === TYPE_A ? this.addresses.map(addressRecord) : [];
    const question = message.subarray(HEADER_BYTES, end + 4);
    return concat(header(message, FLAGS.noError, records.length, question), ...records);
  }
}

/** A name as it stands in a question: labels with their lengths before them. */
function questionName(name: string): Uint8Array {
  const labels = name.split(".").map((label) => new TextEncoder().encode(label));
  return concat(
    ...labels.map((label) => concat(Uint8Array.of(label.length), label)),
    Uint8Array.of(0),
  );
}

/** Where the question of a message ends. */
function questionEnd(message: Uint8Array): number {
  let at = HEADER_BYTES;
  while (at < message.length && message[at] !== 0) at += 1 + (message[at] ?? 0);
  return Math.min(at + 5, message.length);
}

function header(message: Uint8Array, flags: number, answers: number, question: Uint8Array) {
  const fields = new DataView(new ArrayBuffer(HEADER_BYTES));
  fields.setUint8(0, message[0] ?? 0);
  fields.setUint8(1, message[1] ?? 0);
  fields.setUint16(2, flags);
  fields.setUint16(4, 1);
  fields.setUint16(6, answers);
  return concat(new Uint8Array(fields.buffer), question);
}

/** An A record of the name in the question, which stands behind the header. */
function addressRecord(address: string): Uint8Array {
  const ttlSeconds = 1;
  const name = [0xc0, HEADER_BYTES];
  const numbers = address.split(".").map(Number);
  return Uint8Array.from([...name, 0, TYPE_A, 0, CLASS_IN, 0, 0, 0, ttlSeconds, 0, 4, ...numbers]);
}

/** Names are compared without regard to case: HAProxy's own are lower case, others' may not be. */
function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
