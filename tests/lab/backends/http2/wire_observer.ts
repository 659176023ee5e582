import {
  ErrorCode,
  type Frame,
  FrameFlag,
  FrameReader,
  FrameType,
  PREFACE,
  readSettings,
  Setting,
} from "./frames.ts";

/** RFC 9113, section 6.9.2: both windows before anybody says otherwise. */
const DEFAULT_WINDOW = 65_535;
/** RFC 9113, section 4.2. */
const DEFAULT_MAX_FRAME = 16_384;
const MAX_WINDOW = 2 ** 31 - 1;

/**
 * Milliseconds after which a client must have read what the server sent, unless it has shown so before: long, since
 * a busy machine can hold up a process.
 */
const READ_BY_MS = 3000;

const NAMES = Object.fromEntries(Object.entries(FrameType).map(([name, type]) => [type, name]));

/** Something that the server has sent. */
interface Sent {
  readonly at: number;
  /** How many SETTINGS and PINGs it had sent before: a client that acknowledges a later one has read this. */
  readonly after: number;
}

interface Stream {
  /** What the client may still send. */
  window: number;
  /** What the server may still send. */
  credit: number;
  clientEnded: boolean;
  /** The frame with which the server ended or reset it. */
  serverEnd?: Sent;
  closedBy?: "client" | "server";
}

/**
 * Judges from outside whether what a client sends on one connection is legal (RFC 9113). It sees the bytes
 * of both directions and never holds the client to what it cannot have read yet: SETTINGS count from their
 * acknowledgement on, the end of a stream or a GOAWAY when a later frame is acknowledged, or after
 * {@linkcode READ_BY_MS}.
 */
export class WireObserver {
  /** What was not legal, in the order in which it came. */
  readonly violations: string[] = [];
  /** SETTINGS of the server that are not acknowledged yet. */
  readonly unacknowledgedSettings: Map<number, number>[] = [];
  /** Payloads of the server's PINGs that are not acknowledged yet. */
  readonly unacknowledgedPings: string[] = [];
  readonly #fromClient = new FrameReader();
  readonly #fromServer = new FrameReader();
  readonly #streams = new Map<number, Stream>();
  readonly #settings = new Map<number, number>();
  #prefaceLeft = PREFACE.length;
  #frames = 0;
  #lastStream = 0;
  #window = DEFAULT_WINDOW;
  #credit = DEFAULT_WINDOW;
  #initialCredit = DEFAULT_WINDOW;
  #goaway: Sent | undefined;
  /** SETTINGS and PINGs of the server, and how many of them are acknowledged. */
  #asked = 0;
  #acknowledged = 0;
  #blockOf: number | undefined;

  /** What the server may send on the connection before the client gives it more, in bytes. */
  get credit(): number {
    return this.#credit;
  }

  /** Streams that are open by all that was sent. */
  get openStreams(): number {
    return [...this.#streams.values()].filter((stream) => !isClosed(stream)).length;
  }

  /** Takes bytes of the client. @returns the frames that are complete */
  fromClient(bytes: Uint8Array): Frame[] {
    const skip = Math.min(this.#prefaceLeft, bytes.length);
    const from = PREFACE.length - this.#prefaceLeft;
    if (!bytes.subarray(0, skip).every((byte, index) => byte === PREFACE[from + index])) {
      this.#violation("the connection does not begin with the preface");
    }
    this.#prefaceLeft -= skip;
    const frames = this.#fromClient.push(bytes.slice(skip));
    for (const frame of frames) this.#judge(frame);
    return frames;
  }

  /** Takes bytes of the server; they may be wrong. */
  fromServer(bytes: Uint8Array): void {
    for (const frame of this.#fromServer.push(bytes)) this.#follow(frame);
  }

  #violation(what: string): void {
    this.violations.push(what);
  }

  #judge(frame: Frame): void {
    const { type, flags, streamId, payload } = frame;
    const name = `${NAMES[type] ?? `a frame of type ${type}`} on stream ${streamId}`;
    if (this.#frames++ === 0 && (type !== FrameType.SETTINGS || (flags & FrameFlag.ACK) !== 0)) {
      this.#violation(`${name} comes before the client's SETTINGS`);
    }
    if (payload.length > this.#highest(Setting.MAX_FRAME_SIZE, DEFAULT_MAX_FRAME)) {
      this.#violation(`${name} is longer than MAX_FRAME_SIZE: ${payload.length}`);
    }
    if (this.#blockOf !== undefined || type === FrameType.CONTINUATION) {
      const continues = type === FrameType.CONTINUATION && streamId === this.#blockOf;
      if (!continues) this.#violation(`${name} inside or outside of another header block`);
    }
    switch (type) {
      case FrameType.SETTINGS:
        return this.#judgeSettings(frame, name);
      case FrameType.PING:
        return this.#judgePing(frame, name);
      case FrameType.GOAWAY:
        if (streamId !== 0 || payload.length < 8) this.#violation(`${name} is malformed`);
        return;
      case FrameType.WINDOW_UPDATE:
        return this.#judgeWindowUpdate(frame, name);
      case FrameType.HEADERS:
        this.#judgeHeaders(frame, name);
        return this.#noteBlock(frame);
      case FrameType.CONTINUATION:
        return this.#noteBlock(frame);
      case FrameType.DATA:
        return this.#judgeData(frame, name);
      case FrameType.RST_STREAM:
        return this.#judgeReset(frame, name);
      case FrameType.PUSH_PROMISE:
        return this.#violation(`${name} comes from a client`);
    }
  }

  #noteBlock({ flags, streamId }: Frame): void {
    this.#blockOf = (flags & FrameFlag.END_HEADERS) === 0 ? streamId : undefined;
  }

  #judgeSettings({ flags, streamId, payload }: Frame, name: string): void {
    if (streamId !== 0) this.#violation(name);
    if ((flags & FrameFlag.ACK) !== 0) {
      const values = this.unacknowledgedSettings.shift();
      this.#acknowledged++;
      if (values === undefined) this.#violation("an acknowledgement of SETTINGS that nobody sent");
      if (payload.length > 0) {
        this.#violation("an acknowledgement of SETTINGS with something in it");
      }
      const before = this.#setting(Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW);
      for (const [id, value] of values ?? []) this.#settings.set(id, value);
      const change = this.#setting(Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW) - before;
      for (const stream of this.#streams.values()) stream.window += change;
      return;
    }
    if (payload.length % 6 !== 0) this.#violation(`${name} of ${payload.length} bytes`);
    const values = readSettings(payload);
    if ((values.get(Setting.ENABLE_PUSH) ?? 0) > 1) this.#violation("ENABLE_PUSH is no flag");
    const frameSize = values.get(Setting.MAX_FRAME_SIZE) ?? DEFAULT_MAX_FRAME;
    if (frameSize < DEFAULT_MAX_FRAME || frameSize > 2 ** 24 - 1) {
      this.#violation(`MAX_FRAME_SIZE ${frameSize} is not allowed`);
    }
    const initial = values.get(Setting.INITIAL_WINDOW_SIZE) ?? this.#initialCredit;
    if (initial > MAX_WINDOW) this.#violation(`INITIAL_WINDOW_SIZE ${initial} is not allowed`);
    for (const stream of this.#streams.values()) stream.credit += initial - this.#initialCredit;
    this.#initialCredit = initial;
  }

  #judgePing({ flags, streamId, payload }: Frame, name: string): void {
    if (streamId !== 0 || payload.length !== 8) this.#violation(`${name} is malformed`);
    if ((flags & FrameFlag.ACK) === 0) return;
    this.#acknowledged++;
    if (this.unacknowledgedPings.shift() !== payload.toHex()) {
      this.#violation(`an acknowledgement of a PING that nobody sent: ${payload.toHex()}`);
    }
  }

  #judgeWindowUpdate({ streamId, payload }: Frame, name: string): void {
    const increment = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
    if (payload.length !== 4 || increment === 0 || increment > MAX_WINDOW) {
      return this.#violation(`${name} by ${increment}`);
    }
    if (streamId === 0) this.#credit += increment;
    const stream = streamId === 0 ? undefined : this.#known(streamId, name);
    if (stream !== undefined) stream.credit += increment;
    if (Math.max(this.#credit, stream?.credit ?? 0) > MAX_WINDOW) {
      this.#violation(`${name} makes the window larger than 2^31-1`);
    }
  }

  #judgeHeaders({ flags, streamId }: Frame, name: string): void {
    if (this.#streams.has(streamId)) return this.#violation(`${name} once more`);
    if (streamId % 2 !== 1) this.#violation(`${name}: a client's are odd`);
    if (streamId <= this.#lastStream) this.#violation(`${name} after ${this.#lastStream}`);
    const open = this.openStreams;
    if (open >= this.#highest(Setting.MAX_CONCURRENT_STREAMS, Infinity)) {
      this.#violation(`${name} beside ${open} open ones is one more than the server allows`);
    }
    if (this.#isRead(this.#goaway)) this.#violation(`${name} after GOAWAY`);
    this.#lastStream = Math.max(streamId, this.#lastStream);
    this.#streams.set(streamId, {
      window: this.#setting(Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW),
      credit: this.#initialCredit,
      clientEnded: (flags & FrameFlag.END_STREAM) !== 0,
    });
  }

  #judgeData({ flags, streamId, payload }: Frame, name: string): void {
    const stream = this.#known(streamId, name);
    if (stream === undefined) return;
    if (stream.clientEnded) this.#violation(`${name} after its end`);
    const now = this.#setting(Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW);
    const more = this.#highest(Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW) - now;
    this.#window -= payload.length;
    stream.window -= payload.length;
    if (payload.length > 0 && (this.#window < 0 || stream.window + more < 0)) {
      this.#violation(`${name}: its ${payload.length} bytes are more than the window`);
    }
    if ((flags & FrameFlag.END_STREAM) !== 0) stream.clientEnded = true;
  }

  #judgeReset({ streamId, payload }: Frame, name: string): void {
    if (payload.length !== 4) this.#violation(`${name} of ${payload.length} bytes`);
    const stream = this.#known(streamId, name);
    if (stream !== undefined) stream.closedBy = "client";
  }

  /** @returns the stream of a frame that needs an open one, after a violation if it is none */
  #known(streamId: number, name: string): Stream | undefined {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#violation(`${name}, which is idle`);
    else if (stream.closedBy === "client") this.#violation(`${name} after the client's RST_STREAM`);
    else if (isClosed(stream) && this.#isRead(stream.serverEnd)) {
      this.#violation(`${name}, which is closed`);
    }
    return stream;
  }

  #follow({ type, flags, streamId, payload }: Frame): void {
    const stream = this.#streams.get(streamId);
    const isAck = (flags & FrameFlag.ACK) !== 0;
    if (type === FrameType.SETTINGS && !isAck) {
      this.unacknowledgedSettings.push(readSettings(payload));
      this.#asked++;
    } else if (type === FrameType.PING && !isAck) {
      this.unacknowledgedPings.push(payload.toHex());
      this.#asked++;
    } else if (type === FrameType.GOAWAY) this.#goaway = this.#now();
    else if (type === FrameType.WINDOW_UPDATE && payload.length === 4) {
      const increment = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
      if (streamId === 0) this.#window += increment;
      else if (stream) stream.window += increment;
    } else if (type === FrameType.DATA) {
      this.#credit -= payload.length;
      if (stream) stream.credit -= payload.length;
    }
    if (stream === undefined) return;
    const canEnd = type === FrameType.DATA || type === FrameType.HEADERS;
    if (canEnd && (flags & FrameFlag.END_STREAM) !== 0) stream.serverEnd ??= this.#now();
    if (type === FrameType.RST_STREAM) {
      stream.serverEnd ??= this.#now();
      stream.closedBy ??= "server";
    }
  }

  #now(): Sent {
    return { at: performance.now(), after: this.#asked };
  }

  #isRead(sent: Sent | undefined): boolean {
    if (sent === undefined) return false;
    return this.#acknowledged > sent.after || performance.now() - sent.at > READ_BY_MS;
  }

  /** What the client has acknowledged. */
  #setting(id: number, byDefault: number): number {
    return this.#settings.get(id) ?? byDefault;
  }

  /** The most that the client may believe: what it has acknowledged, or what is on its way. */
  #highest(id: number, byDefault: number): number {
    const sent = this.unacknowledgedSettings.map((values) => values.get(id) ?? 0);
    return Math.max(this.#setting(id, byDefault), ...sent);
  }
}

/** The code of a RST_STREAM or GOAWAY, by name where it has one. */
export function errorCodeOf({ type, payload }: Frame): string {
  const at = type === FrameType.GOAWAY ? 4 : 0;
  const code = new DataView(payload.buffer, payload.byteOffset).getUint32(at);
  return Object.entries(ErrorCode).find(([, value]) => value === code)?.[0] ?? `${code}`;
}

function isClosed({ clientEnded, serverEnd, closedBy }: Stream): boolean {
  return closedBy !== undefined || (clientEnded && serverEnd !== undefined);
}
