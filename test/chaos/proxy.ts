/**
 * A TCP proxy before a broker that has no faults of its own: what all clients are told to connect to, and where connections of one
 * of them can be cut. Whose a connection is, its first request says: every Kafka request carries its client's id.
 */
import { connect, createServer, type Socket } from 'node:net';

export interface Proxy {
  readonly port: number;
  /** Where connections go from now on. */
  aim(port: number): void;
  /** Cuts the connections of a client, without a goodbye. @returns how many */
  drop(clientId: string): number;
  stop(): Promise<void>;
}

/** Length, API, version and correlation id of a request come before the length of the client's id. */
const CLIENT_ID_AT = 4 + 2 + 2 + 4;

export async function startProxy(): Promise<Proxy> {
  const owners = new Map<Socket, string>();
  let target = 0;
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    owners.set(near, '');
    near.setNoDelay();
    far.setNoDelay();
    near.once('data', (first) => owners.has(near) && owners.set(near, clientIdOf(first)));
    near.pipe(far);
    far.pipe(near);
    const over = () => {
      owners.delete(near);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', over).on('close', over);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    aim: (port) => {
      target = port;
    },
    drop(clientId) {
      const cut = [...owners].filter(([, owner]) => owner === clientId).map(([socket]) => socket);
      for (const socket of cut) socket.resetAndDestroy();
      return cut.length;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of owners.keys()) socket.destroy();
      await closed;
    },
  };
}

/** '' when the frame is too short to say. */
function clientIdOf(frame: Buffer): string {
  if (frame.length < CLIENT_ID_AT + 2) return '';
  return frame.toString('utf8', CLIENT_ID_AT + 2, CLIENT_ID_AT + 2 + Math.max(0, frame.readInt16BE(CLIENT_ID_AT)));
}
