import { concat } from "../http2/frames.ts";

/** What the beginning of a TLS handshake asks for (RFC 8446, section 4.1.2). */
export interface ClientHello {
  /** The server name (RFC 6066, section 3); undefined when none is sent. */
  readonly serverName: string | undefined;
  /** The protocols offered (RFC 7301). */
  readonly alpn: readonly string[];
}

/** Collects the ClientHello of each connection. */
export class ClientHellos {
  /** Those that are complete, in the order of their connections' beginnings. */
  readonly seen: ClientHello[] = [];

  /** Gives a function that takes what one client sends. */
  readonly look = (): (bytes: Uint8Array) => void => {
    let collected: Uint8Array = new Uint8Array();
    let isDone = false;
    return (bytes) => {
      if (isDone) return;
      collected = concat(collected, bytes);
      const hello = readClientHello(collected);
      isDone = hello !== undefined;
      if (hello) this.seen.push(hello);
    };
  };
}

const SERVER_NAME = 0;
const ALPN = 16;
/** Bytes of the record's and of the message's header, and of the version and the random number. */
const FIXED = 5 + 4 + 2 + 32;

/** @returns undefined while its one record is not complete */
function readClientHello(bytes: Uint8Array): ClientHello | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 5 || bytes.length < 5 + view.getUint16(3)) return undefined;
  let at = FIXED;
  at += 1 + view.getUint8(at); // session id
  at += 2 + view.getUint16(at); // cipher suites
  at += 1 + view.getUint8(at); // compression methods
  const end = at + 2 + view.getUint16(at);
  let serverName: string | undefined;
  let alpn: string[] = [];
  for (at += 2; at < end;) {
    const [type, length] = [view.getUint16(at), view.getUint16(at + 2)];
    const body = bytes.subarray(at + 4, at + 4 + length);
    if (type === SERVER_NAME) serverName = new TextDecoder().decode(body.subarray(5));
    if (type === ALPN) alpn = readStrings(body.subarray(2));
    at += 4 + length;
  }
  return { serverName, alpn };
}

/** Strings with their lengths, of one byte, before them. */
function readStrings(bytes: Uint8Array): string[] {
  const strings: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + (bytes[at] ?? 0);
    strings.push(new TextDecoder().decode(bytes.subarray(at + 1, end)));
    at = end;
  }
  return strings;
}
