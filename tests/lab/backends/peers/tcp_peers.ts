/** Peers that go wrong before HTTP/2 begins. */
import { createServer, type Server, type Socket } from "node:net";
import { freePort } from "../../machine/free_port.ts";
import { close, drain, type Peer, PeerServer, send } from "./peer_server.ts";

const ascii = (text: string) => new TextEncoder().encode(text);

/** A port on which nothing listens: connections are refused. */
export function refusing(port = freePort()): Peer {
  return { port, connections: 0, [Symbol.asyncDispose]: () => Promise.resolve() };
}

/** A listener that accepts and never says a word. */
export function silent(): PeerServer {
  return new PeerServer(drain);
}

/** A listener that closes each connection at once. */
export function closing(): PeerServer {
  return new PeerServer(close);
}

/** A listener that says something in reply to the first bytes, and goes on listening. */
export function saying(bytes: Uint8Array): PeerServer {
  return new PeerServer(async (connection) => {
    await connection.read(new Uint8Array(4096));
    await send(connection, bytes);
    await drain(connection);
  });
}

/** A web server of the old kind: it answers HTTP/1.1 and closes. */
export function http1(): PeerServer {
  return new PeerServer(async (connection) => {
    await connection.read(new Uint8Array(4096));
    const head = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    await send(connection, ascii(head));
    close(connection);
  });
}

/** An SSH server: it speaks first. */
export function ssh(): PeerServer {
  return new PeerServer(async (connection) => {
    await send(connection, ascii("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"));
    await drain(connection);
  });
}

/** Bytes that belong to no protocol; the same in each run. */
export function garbage(): PeerServer {
  return saying(Uint8Array.from({ length: 512 }, (_, index) => (index * 151 + 89) % 256));
}

/** A TLS server that begins its answer to the handshake (a record of 16000 bytes) and stalls. */
export function stallingTls(): PeerServer {
  return saying(new Uint8Array([0x16, 0x03, 0x03, 0x3e, 0x80, 0x02, 0x00, 0x00]));
}

/** A listener that resets each connection at once. */
export async function resetting(port = freePort()): Promise<Peer> {
  let connections = 0;
  const server = createServer((socket: Socket) => {
    connections++;
    socket.on("error", () => {});
    socket.resetAndDestroy();
  });
  await listen(server, port);
  return {
    port,
    get connections() {
      return connections;
    },
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** A port that drops what asks for a connection. */
export interface BlackHole extends Peer {
  /** Hands connections to a server from here on. */
  open(server: PeerServer): Promise<void>;
}

/**
 * A listener whose backlog is full: the kernel drops further SYNs, as a firewall would. A connection
 * attempt neither succeeds nor fails.
 */
export async function blackHole(port = freePort(), hostname = "127.0.0.1"): Promise<BlackHole> {
  const listener = Deno.listen({ hostname, port, tcpBacklog: 1 });
  const fillers: Deno.TcpConn[] = [];
  const dispose = () => {
    for (const filler of fillers) filler.close();
    listener.close();
    return Promise.resolve();
  };
  const open = async (server: PeerServer) => {
    for (const _ of fillers) (await listener.accept()).close();
    void (async () => {
      for await (const connection of listener) server.adopt(connection);
    })();
  };
  while (fillers.length < 10) {
    try {
      const signal = AbortSignal.timeout(300);
      fillers.push(await Deno.connect({ hostname, port, signal }));
    } catch (error) {
      if ((error as Error).name === "TimeoutError") {
        return { port, connections: 0, open, [Symbol.asyncDispose]: dispose };
      }
      await dispose();
      throw error;
    }
  }
  await dispose();
  throw new Error("The backlog does not fill");
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
}
